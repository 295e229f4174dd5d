// Package router finds the rule that a request's host, path and method lead to. It knows nothing of HTTP beyond that, and
// imports nothing of this module: what a rule carries is its type parameter.
//
// A [Table] is immutable. [Table.With] and [Table.Without] return a new one that shares with the old one all but the nodes on the
// way to the changed leaves, so the cost of a change is bounded by the lengths of the hosts, paths and id it names, whatever the
// number of rules. Any number of goroutines may use a table, and derive others from it, at the same time.
//
// # Patterns
//
//	/a             that path alone
//	/a/*           /a/ and everything below it, but not /a
//	/grpc.hello.*  every path that begins with /grpc.hello.
//	/users/:id     one segment, not empty, called "id"
//	/files/*path   like /files/*, the rest (it may be empty) called "path"
//	/*             every path
//	*              every path, and also what does not begin with a slash: the "*" of OPTIONS
//
// A colon is special at the beginning of a segment only, so /v1/jobs:cancel is a plain path. Nothing can follow a star but its
// name, and a star has a name only where it is a whole segment. Paths are compared byte by byte, with case. ParsePattern brings
// a pattern into the form that a query's path has: escapes of unreserved characters are decoded, other escapes have upper-case
// digits, and bytes outside ASCII are escaped (RFC 3986 §6.2.2, RFC 3987 §3.1).
//
// # Which rule wins
//
// Among the rules that match host, path and method and whose When holds, in this order:
//
//  1. the more specific host: exact, then *.suffix with the longer suffix, then any host
//  2. the higher priority
//  3. the more specific pattern, as below
//  4. a rule with methods before one without
//  5. a rule with When before one without
//  6. the smaller id, byte by byte
//
// A host whose rules do not match the rest of a request hides nothing: the search goes on with the next host. "*.example.com"
// stands for one label or more in front of .example.com, not for example.com.
//
// Two patterns are compared from left to right, a literal byte, a parameter and a star being one step each. At the first step
// where they differ, literal comes before the end of the pattern, that before a parameter, and that before a star. For two
// patterns that match the same path it follows that the exact one is first, then the one whose literal beginning is longer,
// then a parameter before a star; and after an equal parameter the same holds again. For the path /users/7/posts, best first:
//
//	/users/7/posts
//	/users/7/*
//	/users/7*
//	/users/:id/posts
//	/users/:id/p*
//	/users/:id/:what
//	/users/:id/*
//	/users/*
//	/:all/7/posts      its literal beginning is "/" only
//	/*
//
// [Pattern.Compare] is this order. It is total: patterns that differ in the names of their parameters only are equal, all
// others are not.
//
// # The tree, and what a match costs
//
// Host names, read backwards, form a radix tree; each host leads to a radix tree of the literal parts of its patterns; where a
// parameter follows, another tree begins.
//
//	"moc.elpmaxe."   *.example.com ─► paths
//	 └─ "ipa"        api.example.com ─► "/users/"
//	                                     ├─ "me"   rule "me"        /users/me
//	                                     ├─ :  ─►  rule "user"      /users/:id
//	                                     │          └─ "/posts"     /users/:id/posts
//	                                     └─ *      rule "users"     /users/*
//
// The search visits patterns best first. As priority goes before specificity, it cannot stop at the first hit; but every node
// knows the highest priority below it, so a subtree that cannot hold a better rule is not entered, and where priorities are
// equal the first hit is the last.
//
// Literal bytes lead one way only. A parameter beside a literal makes two ways, and patterns such as /a/a/a/a, /:x/a/a/a,
// /:x/:y/a/a … would make 2ⁿ of them for a path of n segments. So every node also knows how many ways any single path can take
// below it, and a rule that brings a host to more than [MaxBranches] is refused. A match hence costs at most length of the path
// × MaxBranches for each of the hosts that apply (at most one per label of the name, and usually one or two), whatever the
// number of rules. Rules that share one host and pattern stand in one sorted list that is read from its beginning, because
// nothing but their methods and conditions tells them apart.
package router
