package control

import (
	"bytes"
	"crypto/tls"

	"sluice/plugin"
	"sluice/proxy"
)

// others is the last good version of every resource that is neither route, service nor node.
type others struct {
	consumers    map[string]*Consumer
	claims       claims // of those
	certificates map[string]*Certificate
	settings     map[string][]byte // checked values
	changed      bool              // the settings have, since configure was called

	plugins   *plugin.Chain // of every route; nil = none
	pluginsOf []byte        // the setting that they were built from

	compiled *proxy.Certificates // what listeners have of certificates
	stale    bool                // it is older than those

	// Of authorities.
	issued     map[string]*tls.Certificate // by name
	challenges map[string]*Challenge       // by key
	answering  *proxy.Challenges           // what listeners have of them
	wanted     []ACMEName                  // names of the certificates
}

func newOthers() others {
	return others{consumers: make(map[string]*Consumer), claims: claims{ids: make(map[Claim][]string)}, certificates: make(map[string]*Certificate), settings: make(map[string][]byte),
		issued: make(map[string]*tls.Certificate), challenges: make(map[string]*Challenge)}
}

// put takes a new value in, or says what is wrong with it.
func (o *others) put(kind Kind, id string, value []byte) error {
	switch kind {
	case Consumers:
		c, err := DecodeConsumer(id, value)
		if err != nil {
			return err
		}
		o.claims.change(id, o.consumers[id], c)
		o.consumers[id] = c
	case Certificates:
		c, err := DecodeCertificate(id, value)
		if err != nil {
			return err
		}
		o.certificates[id], o.stale = c, true
	case acmeKind:
		return o.putACME(id, value)
	case Settings:
		if err := new(LiveSettings).DecodeSetting(id, value); err != nil {
			return err
		}
		o.settings[id], o.changed = value, true
	}
	return nil
}

// remove takes a resource out.
func (o *others) remove(kind Kind, id string) {
	switch kind {
	case Consumers:
		o.claims.change(id, o.consumers[id], nil)
		delete(o.consumers, id)
	case Certificates:
		if _, there := o.certificates[id]; there {
			delete(o.certificates, id)
			o.stale = true
		}
	case acmeKind:
		o.removeACME(id)
	case Settings:
		if _, there := o.settings[id]; there {
			delete(o.settings, id)
			o.changed = true
		}
	}
}

// has reports whether a version of a resource is in force.
func (o *others) has(kind Kind, id string) (ok bool) {
	switch kind {
	case Consumers:
		_, ok = o.consumers[id]
	case Certificates:
		_, ok = o.certificates[id]
	case Settings:
		_, ok = o.settings[id]
	}
	return ok
}

// compile brings what listeners have of certificates up to date, and reports whether it differs.
func (o *others) compile() bool {
	if !o.stale {
		return false
	}
	o.stale, o.wanted = false, nil
	list := make([]*proxy.Certificate, 0, len(o.certificates))
	for id, c := range o.certificates {
		if c.ACME != nil {
			list = append(list, o.obtained(id, c)...)
		} else {
			list = append(list, c.compiled(id))
		}
	}
	o.compiled, o.answering = proxy.NewCertificates(list), o.answers()
	return true
}

// configure hands the settings over if they have changed, and reports whether the plugins of every route have.
func (o *others) configure(put func(LiveSettings)) bool {
	if !o.changed {
		return false
	}
	o.changed = false
	var s LiveSettings
	for name, value := range o.settings {
		if err := s.DecodeSetting(name, value); err != nil {
			panic("BUG: a setting that was checked is not valid: " + err.Error())
		}
	}
	put(s)
	return o.plug(s.Plugins)
}

// plug builds the plugins of every route anew if their setting has changed. Those before are closed once the last exchange has let go of them: see plugin.Chain.
func (o *others) plug(p Plugins) bool {
	value := o.settings["plugins"]
	if bytes.Equal(value, o.pluginsOf) {
		return false
	}
	made, problems := p.instances()
	if len(problems) > 0 {
		panic("BUG: a setting that was checked is not valid: " + problems.Error())
	}
	o.plugins, o.pluginsOf = nil, value
	if len(made) > 0 {
		o.plugins = plugin.NewChain(made)
	}
	return true
}
