// Package nodeid names the nodes of services: whoever registers one and whoever reads it must come to the same name.
package nodeid

import (
	"crypto/md5"
	"encoding/hex"
)

// Folder is what the keys of nodes begin with, below the prefix of the store.
const Folder = "discovery/"

// Of returns the id of a node: its service, a dot, and the md5 of service and address in hex, as in ws-cloud-gateway.
func Of(service, upstream string) string { return service + "." + MD5(service+upstream) }

// MD5 returns the md5 of s in hex. It names things; nothing is protected by it.
func MD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}
