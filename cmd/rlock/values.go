package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types below are flag values that refuse what does not make sense, with an
// error that says what does.

// A countValue is a whole number from least to most.
type countValue struct {
	target      *int
	least, most int
}

func (v countValue) String() string { return strconv.Itoa(*v.target) }
func (v countValue) Type() string   { return "number" }

// Set parses text into the target, which is left alone if it is refused.
func (v countValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.least || n > v.most {
		return fmt.Errorf("it must be a whole number from %d to %d", v.least, v.most)
	}
	*v.target = n
	return nil
}

// A durationValue is a duration from least to most.
type durationValue struct {
	target      *time.Duration
	least, most time.Duration
}

func (v durationValue) String() string { return v.target.String() }
func (v durationValue) Type() string   { return "duration" }

// Set parses text into the target, which is left alone if it is refused.
func (v durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < v.least || d > v.most {
		return fmt.Errorf("it must be a duration from %v to %v, such as 5ms or 1.5s", v.least, v.most)
	}
	*v.target = d
	return nil
}

// A choiceValue is one of a few words.
type choiceValue struct {
	target *string
	words  []string
}

func (v choiceValue) String() string { return *v.target }
func (v choiceValue) Type() string   { return strings.Join(v.words, "|") }

// Set stores text in the target, which is left alone if it is refused.
func (v choiceValue) Set(text string) error {
	if !slices.Contains(v.words, text) {
		return fmt.Errorf("it must be one of %s", strings.Join(v.words, ", "))
	}
	*v.target = text
	return nil
}
