package control

// others is the last good version of every resource that is neither route, service nor node.
type others struct {
	consumers    map[string]*Consumer
	certificates map[string]*Certificate
	settings     map[string][]byte // checked values
	changed      bool              // the settings have, since configure was called
}

func newOthers() others {
	return others{consumers: make(map[string]*Consumer), certificates: make(map[string]*Certificate), settings: make(map[string][]byte)}
}

// put takes a new value in, or says what is wrong with it.
func (o *others) put(kind Kind, id string, value []byte) error {
	switch kind {
	case Consumers:
		c, err := DecodeConsumer(id, value)
		if err != nil {
			return err
		}
		o.consumers[id] = c
	case Certificates:
		c, err := DecodeCertificate(id, value)
		if err != nil {
			return err
		}
		o.certificates[id] = c
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
		delete(o.consumers, id)
	case Certificates:
		delete(o.certificates, id)
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

// configure hands the settings over if they have changed.
func (o *others) configure(put func(LiveSettings)) {
	if !o.changed {
		return
	}
	o.changed = false
	var s LiveSettings
	for name, value := range o.settings {
		if err := s.DecodeSetting(name, value); err != nil {
			panic("BUG: a setting that was checked is not valid: " + err.Error())
		}
	}
	put(s)
}
