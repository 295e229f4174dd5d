package observe

// LoginResult is what became of a login with a name and a password.
type LoginResult uint8

// The results.
const (
	LoginOK      LoginResult = iota
	LoginFailed              // the name or the password was wrong
	LoginSlowed              // refused unread: too many before it had failed
	loginResults = iota
)

var loginNames = [loginResults]string{"ok", "failed", "slowed"}

var loginsDesc = desc("admin_logins_total", "Logins with a name and a password, by what became of them.", "result")

// CountLogin counts one login. Any goroutine may call it.
func (r *Registry) CountLogin(result LoginResult) { r.logins[result].Add(1) }

func (r *Registry) collectLogins(s sink) {
	for i := range r.logins {
		s.counter(loginsDesc, r.logins[i].Load(), loginNames[i])
	}
}
