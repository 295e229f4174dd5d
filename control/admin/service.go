package admin

import (
	"sluice/control"
	"sluice/upstream"
)

// services are what routes point to; their id is their name.
var services = resource{kind: control.Services, singular: "service", idField: "name", value: upstream.Config{}}
