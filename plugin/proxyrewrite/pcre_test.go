package proxyrewrite

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// What is the same in both stays, what is written otherwise is translated, and the result compiles.
func TestExpressionsOfPCREThatRE2CanDo(t *testing.T) {
	for expr, want := range map[string]string{
		`^/openapi/(.*)/`:        `^/openapi/(.*)/`,
		`^\/api\/(v\d+)\/?$`:     `^\/api\/(v\d+)\/?$`,
		`(?i)^/A(?:b|c)?`:        `(?i)^/A(?:b|c)?`,
		`(?<year>\d{4})`:         `(?<year>\d{4})`,
		`(?P<year>\d{4})`:        `(?P<year>\d{4})`,
		`(?'year'\d{4})`:         `(?P<year>\d{4})`,
		`^/a(?# a comment )b`:    `^/ab`,
		`[]a-z\]]+`:              `[]a-z\]]+`,
		`[^]a]+`:                 `[^]a]+`,
		`[[:alpha:]_]+`:          `[[:alpha:]_]+`,
		`[(?=]`:                  `[(?=]`,
		`[*+]+`:                  `[*+]+`,
		`\Q(?=a)\1\E/b`:          `\Q(?=a)\1\E/b`,
		`\++`:                    `\++`,
		`\\(?:a)`:                `\\(?:a)`,
		`/a\h*\Z`:                `/a[ \t]*\z`,
		`[\h\e]`:                 `[ \t\x1b]`,
		`a*?b+?`:                 `a*?b+?`,
		`a}+{b`:                  `a}+{b`,
		`\x{2F}\p{L}\pN\bword\B`: `\x{2F}\p{L}\pN\bword\B`,
		`a\Rb\Nc`:                `a(?:\r\n|\n|\r)b.c`,
	} {
		got, wrong := fromPCRE(expr)
		if wrong != "" || got != want {
			t.Errorf("%s: %s (%s), want %s", expr, got, wrong, want)
		}
		if _, err := regexp.Compile(got); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// What RE2 cannot do is named, at the path of the expression.
func TestExpressionsOfPCREThatRE2CannotDoAreNamed(t *testing.T) {
	for expr, want := range map[string]string{
		`^/(?=a)`: `a lookahead, "(?="`, `^/(?!admin)`: `a negative lookahead`, `(?<=a)b`: `a lookbehind`, `(?<!a)b`: `a negative lookbehind`,
		`(a)\1`: `a back-reference`, `(?P<n>a)(?P=n)`: `a back-reference`, `(?<n>a)\k<n>`: `a back-reference`, `(a)\g{1}`: `a back-reference`,
		`a++`: `a possessive repetition, "++"`, `a*+b`: `a possessive repetition, "*+"`, `a{2}+`: `a possessive repetition`, `(?>a)`: `an atomic group`,
		`(?R)`: `a recursion`, `(?1)`: `a recursion`, `(?(1)a|b)`: `a condition`, `(?|a|b)`: `a branch reset`, `(*FAIL)`: `a verb`,
		`a\Kb`: `"\K"`, `\Ga`: `"\G"`, `(?x)a b`: `the flag x`, `[\1]`: `an octal number in a set`, `[\R]`: `in a set`,
	} {
		for name, config := range map[string]any{
			"rewrite":       map[string]string{"rewrite_url_regex": expr, "rewrite_replace": "/"},
			"proxy-rewrite": map[string][]string{"regex_uri": {expr, "/"}},
		} {
			raw, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Kind.Build(name, raw)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "which RE2 has not") {
				t.Errorf("%s %s: %v, want %s", name, expr, err, want)
			}
		}
	}
}
