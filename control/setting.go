package control

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"sluice/internal/problem"
	"sluice/internal/strict"
	"sluice/plugin"
	"sluice/proxy"
	"sluice/upstream"
)

// LiveSettings is the live configuration that all gateways share, made of what is stored at settings/<name>. What is not stored is zero, and then a gateway's own
// file decides.
type LiveSettings struct {
	LogLevel *slog.Level                 // of the gateway's own log; nil = as it was started
	Limits   func(*proxy.LimitsConfig)   // puts what is stored over the file's; nil = nothing is
	Timeouts func(*proxy.TimeoutsConfig) // the same
	Paths    proxy.PathPolicy            // of paths that can be read in several ways
	Plugins  Plugins                     // of every route, around its own
	Health   *upstream.HealthConfig      // of services that say nothing themselves; nil = upstream.StandardHealth
}

// setting is one name below settings/. It is known here because something obeys it: a name without an effect would be a promise that nobody keeps.
type setting struct {
	value any                                            // zero value of the document's type, for its schema
	read  func(s *LiveSettings, node *strict.Node) error // checks a value, and puts it in
}

var settings = map[string]setting{
	"log_level": {LogLevelSetting{}, readLogLevel},
	"limits": {proxy.LimitsConfig{}, func(s *LiveSettings, n *strict.Node) (err error) {
		s.Limits, err = overlay[proxy.LimitsConfig](n)
		return err
	}},
	"timeouts": {proxy.TimeoutsConfig{}, func(s *LiveSettings, n *strict.Node) (err error) {
		s.Timeouts, err = overlay[proxy.TimeoutsConfig](n)
		return err
	}},
	"path_policy": {PathPolicySetting{}, readPathPolicy},
	"plugins":     {Plugins{}, readPlugins},
	"health":      {upstream.HealthConfig{}, readHealth},
}

// SettingNames returns the names that a setting may have, sorted.
func SettingNames() []string { return slices.Sorted(maps.Keys(settings)) }

// SettingValue returns a zero value of the type that a setting is written in.
func SettingValue(name string) any { return settings[name].value }

// LogLevelSetting is settings/log_level.
type LogLevelSetting struct {
	Level string `json:"level"` // debug, info, warn or error
}

// PathPolicySetting is settings/path_policy.
type PathPolicySetting struct {
	Ambiguous string `json:"ambiguous"` // agree, refuse or literal
}

// DecodeSetting checks the value of a setting and puts it in. Errors are as in DecodeRoute.
func (s *LiveSettings) DecodeSetting(name string, data []byte) error {
	known, ok := settings[name]
	if !ok {
		return problem.Problems{{Text: "there is no setting " + name + problem.DidYouMean(name, SettingNames()) + "; there are " + strings.Join(SettingNames(), ", ")}}
	}
	node, err := strict.ParseJSON(data)
	if err != nil {
		return err
	}
	if node.Kind != strict.Object {
		return problem.Problems{{Text: "wants an object, not " + node.Kind.String()}}
	}
	return asProblems(known.read(s, node)).Err()
}

// readPlugins checks plugins of every route; they are built for it and closed again.
func readPlugins(s *LiveSettings, n *strict.Node) error {
	var p Plugins
	problems := p.DecodeNode(n)
	made, found := p.instances()
	closeAll(made)
	for i := range found {
		found[i].Path = strings.TrimPrefix(strings.TrimPrefix(found[i].Path, "plugins"), ".")
	}
	problems.Complete(found.Err())
	s.Plugins = p
	return problems.Err()
}

// instances builds the plugins of every route. Where the problems are not empty, what could be built has been closed again.
func (p Plugins) instances() ([]plugin.Instance, problem.Problems) {
	return (&Route{Plugins: p}).instances(standard)
}

func readLogLevel(s *LiveSettings, n *strict.Node) error {
	var v LogLevelSetting
	problems := strict.Decode(n, &v)
	var level slog.Level
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, v.Level) || level.UnmarshalText([]byte(v.Level)) != nil {
		problems.Complete(problem.Problems{{Path: "level", Text: "is none of debug, info, warn, error"}})
	}
	s.LogLevel = &level
	return problems.Err()
}

func readPathPolicy(s *LiveSettings, n *strict.Node) error {
	var v PathPolicySetting
	problems := strict.Decode(n, &v)
	if err := s.Paths.UnmarshalText([]byte(v.Ambiguous)); err != nil {
		problems.Complete(problem.Problems{{Path: "ambiguous", Text: err.Error()}})
	}
	return problems.Err()
}

func readHealth(s *LiveSettings, n *strict.Node) error {
	h := new(upstream.HealthConfig)
	problems := strict.Decode(n, h)
	standard := upstream.StandardHealth()
	if h.Active == nil {
		h.Active = standard.Active
	}
	if h.Passive == nil {
		h.Passive = standard.Passive
	}
	h.SetDefaults()
	problems.Complete(h.Validate())
	if err := problems.Err(); err != nil {
		return err
	}
	s.Health = h
	return nil
}

// block is a part of the configuration file that can also be stored.
type block[T any] interface {
	*T
	SetDefaults()
	Validate() error
}

// overlay returns what puts the members of n over a block of the file. Each member is checked for itself, so what holds over the defaults holds over any file.
func overlay[T any, B block[T]](n *strict.Node) (func(B), error) {
	tried := B(new(T))
	tried.SetDefaults()
	problems := strict.Decode(n, tried)
	problems.Complete(tried.Validate())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return func(file B) { strict.Decode(n, file) }, nil
}
