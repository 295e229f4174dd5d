package control

import (
	"strings"
	"unicode/utf8"

	"sluice/internal/nodeid"
	"sluice/internal/problem"
)

// Kind is a kind of resource, named as the admin API and the command line name it.
type Kind string

// The kinds.
const (
	Routes       Kind = "routes"
	Services     Kind = "services"
	Nodes        Kind = "nodes"
	Consumers    Kind = "consumers"
	Certificates Kind = "certificates"
	Users        Kind = "users"
	Settings     Kind = "settings"
)

// Kinds are all of them, in the order of the documentation.
var Kinds = []Kind{Routes, Services, Nodes, Consumers, Certificates, Users, Settings}

// Folder returns what keys of the kind begin with, such as "routes/". Nodes are below "discovery/".
func (k Kind) Folder() string {
	if k == Nodes {
		return nodeid.Folder
	}
	return string(k) + "/"
}

// Key returns the key of one resource.
func (k Kind) Key(id string) string { return k.Folder() + id }

// SplitKey returns the kind of a key and the id of its resource; ok is false for a key that is no resource's.
func SplitKey(key string) (k Kind, id string, ok bool) {
	folder, id, found := strings.Cut(key, "/")
	if !found || id == "" {
		return "", "", false
	}
	if folder+"/" == nodeid.Folder {
		return Nodes, id, true
	}
	for _, k = range Kinds {
		if string(k) == folder && k != Nodes {
			return k, id, true
		}
	}
	return "", "", false
}

// maxID bounds an id: it is part of keys, log lines and metric labels, and 255 bytes is what file systems, and so people, are used to.
const maxID = 255

// CheckID reports what is wrong with the id of a resource that is about to be written. Ids found in a store are not held to it: early
// ws-cloud-gateway versions used the prefix, slashes included. A node may have any key below its folder.
func (k Kind) CheckID(id string) error {
	if k == Nodes {
		id = strings.ReplaceAll(id, "/", ".")
	}
	var p problem.Problems
	checkID(&p, "", id)
	return p.Err()
}

func checkID(p *problem.Problems, path, id string) {
	switch {
	case id == "":
		p.Add(path, "is empty: name the resource")
	case len(id) > maxID:
		p.Add(path, "is longer than %d bytes", maxID)
	case !utf8.ValidString(id):
		p.Add(path, "is not valid UTF-8")
	case id == "." || id == "..":
		p.Add(path, "%q cannot be part of a URL", id)
	case strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' }):
		p.Add(path, "%q has a slash or a control character in it", id)
	}
}

// RouteID returns the id that a route without one has: the md5 of its prefix in hex, as in ws-cloud-gateway.
func RouteID(prefix string) string { return nodeid.MD5(prefix) }

// NodeID returns the id of a node: its service, a dot, and the md5 of service and address.
func NodeID(service, upstream string) string { return nodeid.Of(service, upstream) }
