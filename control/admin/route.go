package admin

import (
	"sluice/control"
)

// routes are what requests are matched with; their id is in the value too.
var routes = resource{kind: control.Routes, singular: "route", idField: "id", value: control.Route{}}
