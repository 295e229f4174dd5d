package problem

import "strings"

// DidYouMean returns `; did you mean "x"?` for the known word that is nearest to the given one, or "" when none is near enough
// to be meant.
func DidYouMean(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
		return `; did you mean "` + best + `"?`
	}
	return ""
}

// Nearest returns the known word that is the fewest edits away from word, or "" when even that is more than a third
// of the word (but never less than two edits), since a far-off guess misleads. "-" and "_" and case count as equal. The only known word that
// begins with all of word is near, however long it is.
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	plain := fold(word)
	best, least := "", max(2, len(plain)/3)+1
	for _, k := range known {
		if d := distance(plain, fold(k)); d < least && d < len(k) {
			best, least = k, d
		}
	}
	if best == "" && len(plain) > 3 {
		return only(plain, known)
	}
	return best
}

// only returns the one known word that begins with start, or "".
func only(start string, known []string) (found string) {
	for _, k := range known {
		if strings.HasPrefix(fold(k), start) {
			if found != "" {
				return ""
			}
			found = k
		}
	}
	return found
}

func fold(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }

// distance is the number of insertions, deletions, replacements and swaps of neighbours that turn a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
