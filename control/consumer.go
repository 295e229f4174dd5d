package control

import (
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"

	"sluice/internal/problem"
	"sluice/internal/strict"
)

// Consumer is somebody who calls through the gateway, as stored at consumers/<id>: what proves that it is him, and the groups that he is in. The auth plugins
// of a route look here.
type Consumer struct {
	ID          string      `json:"id,omitempty"`     // the key's; for people who read the value
	Desc        string      `json:"desc,omitempty"`   // for people
	Status      *int        `json:"status,omitempty"` // 1 (default) known, 0 as if he were not there
	Groups      []string    `json:"groups,omitempty"` // names that plugins may ask for
	Credentials Credentials `json:"credentials"`
}

// Credentials are what a consumer may show, by the plugin that asks for it. Any number of them may be given.
type Credentials struct {
	KeyAuth   *KeyCredential   `json:"key-auth,omitempty"`
	BasicAuth *BasicCredential `json:"basic-auth,omitempty"`
	JWTAuth   *JWTCredential   `json:"jwt-auth,omitempty"`
	HMACAuth  *HMACCredential  `json:"hmac-auth,omitempty"`
}

// KeyCredential is a secret that the request carries as it is.
type KeyCredential struct {
	Key string `json:"key"`
}

// BasicCredential is a name and a password, RFC 7617.
type BasicCredential struct {
	Username string `json:"username,omitempty"` // default: the id of the consumer
	Password string `json:"password"`
}

// JWTCredential is what a token of the consumer is checked with, RFC 7519.
type JWTCredential struct {
	Key       string `json:"key,omitempty"`        // the claim that names the consumer; default: his id
	Algorithm string `json:"algorithm,omitempty"`  // default HS256; RFC 7518 §3.1, and EdDSA
	Secret    string `json:"secret,omitempty"`     // for HS256, HS384, HS512
	PublicKey string `json:"public_key,omitempty"` // PEM, for the others
}

// HMACCredential is what a signature of the consumer is checked with.
type HMACCredential struct {
	KeyID  string `json:"key_id,omitempty"` // what the request names it by; default: the id of the consumer
	Secret string `json:"secret"`
}

// maxCredential bounds each text of a credential: an RSA key of 16,384 bits takes 3 KiB as PEM.
const maxCredential = 4 << 10

var jwtAlgorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// DecodeConsumer reads, completes and checks the consumer of an id. Errors are as in DecodeRoute.
func DecodeConsumer(id string, data []byte) (*Consumer, error) {
	c := new(Consumer)
	problems := asProblems(strict.DecodeJSON(data, c))
	if c.ID == "" {
		c.ID = id
	}
	c.SetDefaults()
	found := c.validate()
	checkNamed(&found, c.ID, id)
	problems.Complete(found.Err())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkNamed notes that a value names another resource than its key.
func checkNamed(p *problem.Problems, id, key string) {
	if id != key {
		p.Add("id", "%q is not the %q of the key", id, key)
	}
}

// SetDefaults fills in what is not given.
func (c *Consumer) SetDefaults() {
	if c.Status == nil {
		c.Status = pointer(1)
	}
	if b := c.Credentials.BasicAuth; b != nil && b.Username == "" {
		b.Username = c.ID
	}
	if j := c.Credentials.JWTAuth; j != nil {
		if j.Key == "" {
			j.Key = c.ID
		}
		if j.Algorithm == "" {
			j.Algorithm = "HS256"
		}
	}
	if h := c.Credentials.HMACAuth; h != nil && h.KeyID == "" {
		h.KeyID = c.ID
	}
}

// validate reports everything that is wrong with a consumer, after SetDefaults.
func (c *Consumer) validate() (p problem.Problems) {
	checkStatus(&p, *c.Status)
	for i, group := range c.Groups {
		at := problem.Index("groups", i)
		checkID(&p, at, group)
		if slices.Contains(c.Groups[:i], group) {
			p.Add(at, "%q is given twice", group)
		}
	}
	if k := c.Credentials.KeyAuth; k != nil {
		checkSecret(&p, "credentials.key-auth.key", k.Key)
	}
	if b := c.Credentials.BasicAuth; b != nil {
		if strings.Contains(b.Username, ":") {
			p.Add("credentials.basic-auth.username", "%q has a colon in it, which ends a name (RFC 7617 §2)", b.Username)
		}
		checkSecret(&p, "credentials.basic-auth.password", b.Password)
	}
	if j := c.Credentials.JWTAuth; j != nil {
		p.Under("credentials.jwt-auth", j.validate().Err())
	}
	if h := c.Credentials.HMACAuth; h != nil {
		checkSecret(&p, "credentials.hmac-auth.secret", h.Secret)
	}
	return p
}

func (j *JWTCredential) validate() (p problem.Problems) {
	switch {
	case !slices.Contains(jwtAlgorithms, j.Algorithm):
		p.Add("algorithm", "%q is none of %s", j.Algorithm, strings.Join(jwtAlgorithms, ", "))
	case strings.HasPrefix(j.Algorithm, "HS"):
		checkSecret(&p, "secret", j.Secret)
		if j.PublicKey != "" {
			p.Add("public_key", "has no use with %s, which shares a secret", j.Algorithm)
		}
	default:
		if j.Secret != "" {
			p.Add("secret", "has no use with %s, which has a public key", j.Algorithm)
		}
		block, _ := pem.Decode([]byte(j.PublicKey))
		if block == nil {
			p.Add("public_key", "holds no public key in PEM form")
		} else if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			p.Add("public_key", "%v", err)
		}
	}
	return p
}

func checkSecret(p *problem.Problems, path, secret string) {
	switch {
	case secret == "":
		p.Add(path, "is missing")
	case len(secret) > maxCredential:
		p.Add(path, "is longer than %d bytes", maxCredential)
	case strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r == 0x7f }):
		p.Add(path, "has a control character in it, which no header field can carry")
	}
}

// Claim is what requests name a consumer by, and the path of the credential that it is in. Two consumers with the same cannot be told apart by it.
type Claim struct{ Path, Text string }

// Claims returns those of a consumer; none for one that is out.
func (c *Consumer) Claims() (list []Claim) {
	if *c.Status == 0 {
		return nil
	}
	if k := c.Credentials.KeyAuth; k != nil {
		list = append(list, Claim{"credentials.key-auth.key", k.Key})
	}
	if b := c.Credentials.BasicAuth; b != nil {
		list = append(list, Claim{"credentials.basic-auth.username", b.Username})
	}
	if j := c.Credentials.JWTAuth; j != nil {
		list = append(list, Claim{"credentials.jwt-auth.key", j.Key})
	}
	if h := c.Credentials.HMACAuth; h != nil {
		list = append(list, Claim{"credentials.hmac-auth.key_id", h.KeyID})
	}
	return list
}
