package upstream

import (
	"slices"
)

// newService fills in a view from the configuration.
func newService(name string, config *Config, state *serviceState) *Service {
	if config == nil {
		config = &Config{}
	}
	s := &Service{
		Name:            name,
		health:          config.Health,
		state:           state,
		Attempts:        valueOr(config.Retry.Attempts, DefaultAttempts),
		ConnectTimeout:  config.Timeout.Connect.Std(),
		ResponseTimeout: config.Timeout.Response.Std(),
		IdleTimeout:     config.Timeout.Idle.Std(),
		HTTP2:           config.HTTP2 || config.Protocol == "grpc",
		TryTimeout:      config.Timeout.PerTry.Std(),
		TotalTimeout:    config.Timeout.Total.Std(),
		Hedges:          config.Retry.Hedge != nil,
		hedge:           config.Retry.Hedge,
		backoff:         config.Retry.Backoff.Std(),
		maxBackoff:      config.Retry.MaxBackoff.Std(),
		maxRequests:     int64(config.Breaker.MaxRequests),
		maxRetries:      int64(config.Breaker.MaxRetries),
		queueTimeout:    config.Breaker.QueueTimeout.Std(),
		adaptive:        config.Breaker.Adaptive,
		budgetPercent:   valueOr(config.Retry.BudgetPercent, DefaultBudgetPercent),
		minPerSecond:    valueOr(config.Retry.MinPerSecond, DefaultMinPerSecond),
		secure:          newSecure(config.TLS, state.secure),
		pool:            newPoolSettings(&config.Pool),
		bounds:          boundsOf(&config.Breaker, &config.Pool),
	}
	s.balance(&config.Balancer)
	s.counted = s.counted || config.Breaker.PerNode.MaxRequests > 0
	s.retryOn(config.Retry.On)
	return s
}

// retryOn fills in after which failures another try is made; nil is the default.
func (s *Service) retryOn(on []string) {
	if on == nil {
		on = defaultRetryOn
	}
	s.RetryConnect = slices.Contains(on, "connect")
	s.RetryReset = slices.Contains(on, "reset")
	s.RetryUnavailable = slices.Contains(on, "unavailable")
	for status, bit := range map[string]StatusSet{"502": has502, "503": has503, "504": has504} {
		if slices.Contains(on, status) {
			s.RetryStatus |= bit
		}
	}
}

// balance fills in how nodes are picked.
func (s *Service) balance(c *BalancerConfig) {
	s.balancer = Balancer(max(0, slices.Index(balancers, c.Type)))
	if s.balancer == CHash {
		s.HashOn, s.HashKey, s.hashBalance = c.HashOn, c.Key, c.HashBalanceFactor
	}
	s.slowStart = c.SlowStart.Std()
	s.panicPercent = valueOr(c.PanicPercent, DefaultPanicPercent)
	if c.Sticky != nil {
		s.StickyCookie, s.stickyTTL = c.Sticky.Cookie, c.Sticky.TTL.Std()
	}
	s.counted = s.balancer == LeastConn || s.balancer == EWMA || s.hashBalance > 0
}

func valueOr(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}
