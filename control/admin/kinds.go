package admin

import "sluice/control"

// kinds are those with calls of their own.
var kinds = []*resource{&routes, &services, &nodes, &consumers, &certificates, &settings}

// consumers are who calls through the gateway.
var consumers = resource{kind: control.Consumers, singular: "consumer", idField: "id", value: control.Consumer{}}

// certificates are what listeners with TLS show.
var certificates = resource{kind: control.Certificates, singular: "certificate", idField: "id", value: control.Certificate{}}

// settings are what all gateways share. Their ids are known words, and each has a form of its own.
var settings = resource{kind: control.Settings, singular: "setting", value: settingSchema{}}
