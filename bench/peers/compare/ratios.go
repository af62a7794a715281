package main

import (
	"fmt"
	"slices"
	"strings"
)

// others are the contestants that the table of ratios compares with, best known first.
var others = []string{"redisson", "redisson-fair", "rueidislock", "redsync", "redislock", "spin-backoff", oursPublic, ring, floor}

// ratios is a table of how many times the rate of each contestant this lock has, and what
// part of its waiting time.
func (t table) ratios() string {
	var b strings.Builder
	b.WriteString("| | " + strings.Join(others, " | ") + " |\n|---" + strings.Repeat("|--:", len(others)) + "|\n")
	var rows []string
	for _, f := range t {
		if !f.isSteady() && !slices.Contains(rows, f.Row) {
			rows = append(rows, f.Row)
		}
	}
	for _, row := range rows {
		us := t.at(row, ours)
		if us == nil {
			continue
		}
		b.WriteString("| " + row)
		for _, name := range others {
			b.WriteString(" | ")
			if them := t.at(row, name); them != nil {
				fmt.Fprintf(&b, "%.2f · %.2f", ratio(us, them), us.P99/them.P99)
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
