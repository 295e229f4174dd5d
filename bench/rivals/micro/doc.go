// Package micro measures what other libraries take for the small steps that Sluice's own benchmarks measure: the same requests, the same routes. Run it beside
// them with bench/micro.
package micro
