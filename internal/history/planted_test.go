package history

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sound returns a history that is as it should be. The holds of a are 1 and 2, that of
// b, which comes after them, is 3.
func sound() []Record {
	return []Record{
		{Owner: "1/a", Op: Release, Call: 1, Return: 2, Result: NotHeld},
		{Owner: "1/a", Op: Acquire, Call: 10, Return: 20, Result: Locked, Hold: 1},
		{Owner: "2/b", Op: Acquire, Call: 15, Return: 25, Result: Refused},
		{Owner: "1/a", Op: Count, Call: 30, Return: 32, Result: Counted, Holds: 1},
		{Owner: "1/a", Op: Acquire, Call: 40, Return: 50, Result: Locked, Hold: 2},
		{Owner: "1/a", Op: Count, Call: 52, Return: 54, Result: Counted, Holds: 2},
		{Owner: "2/b", Op: Ask, Call: 56, Return: 58, Result: Taken},
		{Owner: "1/a", Op: Release, Call: 60, Return: 62, Result: Released, Hold: 1, Seen: 60},
		{Owner: "2/b", Op: Count, Call: 63, Return: 64, Result: Counted},
		{Owner: "1/a", Op: Count, Call: 65, Return: 66, Result: Counted, Holds: 1},
		{Owner: "1/a", Op: Release, Call: 70, Return: 80, Result: Released, Hold: 2, Seen: 70},
		{Owner: "2/b", Op: Ask, Call: 82, Return: 84, Result: Free},
		{Owner: "2/b", Op: Acquire, Call: 90, Return: 95, Result: Locked, Hold: 3},
		{Owner: "2/b", Op: Release, Call: 100, Return: 110, Result: Lost, Hold: 3, Seen: 97},
		{Owner: "1/a", Op: Acquire, Call: 105, Return: 115, Result: Refused}, // by what b has lost
	}
}

// crowd returns a history that is as it should be, in which a is in two goroutines at
// once. Its holds are 4 and 5, which are inside together from 325 to 345, and 6, which
// began while 5 was given back; that of b, which waits all the time, is 7.
func crowd() []Record {
	return []Record{
		{Owner: "2/b", Op: Acquire, Call: 300, Return: 395, Result: Locked, Hold: 7},
		{Owner: "1/a", Op: Acquire, Call: 310, Return: 320, Result: Locked, Hold: 4},
		{Owner: "1/a", Op: Acquire, Call: 312, Return: 325, Result: Locked, Hold: 5},
		{Owner: "1/a", Op: Count, Call: 315, Return: 322, Result: Counted, Holds: 2},
		{Owner: "1/a", Op: Count, Call: 316, Return: 323, Result: Counted, Holds: 1}, // it was overtaken
		{Owner: "1/a", Op: Count, Call: 330, Return: 332, Result: Counted, Holds: 2},
		{Owner: "1/a", Op: Release, Call: 345, Return: 360, Result: Released, Hold: 4, Seen: 345},
		{Owner: "1/a", Op: Count, Call: 347, Return: 349, Result: Counted, Holds: 1},
		{Owner: "1/a", Op: Release, Call: 350, Return: 370, Result: Released, Hold: 5, Seen: 350},
		{Owner: "1/a", Op: Acquire, Call: 352, Return: 365, Result: Locked, Hold: 6},
		{Owner: "1/a", Op: Count, Call: 372, Return: 374, Result: Counted, Holds: 1},
		{Owner: "1/a", Op: Release, Call: 380, Return: 390, Result: Released, Hold: 6, Seen: 380},
		{Owner: "2/b", Op: Release, Call: 400, Return: 410, Result: Released, Hold: 7, Seen: 400},
	}
}

func TestSoundHistoryIsAccepted(t *testing.T) {
	t.Parallel()
	for name, history := range map[string][]Record{"Alone": sound(), "Crowd": crowd()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, Overlaps(history))
			assert.NoError(t, Check(history))
		})
	}
}

func TestChecksFindWhatIsPlanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		plant    []Record
		overlaps bool // which the direct check finds, too
	}{
		{"TwoInsideAtOnce", []Record{
			{Owner: "2/b", Op: Acquire, Call: 55, Return: 58, Result: Locked, Hold: 9},
			{Owner: "2/b", Op: Release, Call: 68, Return: 69, Result: Released, Hold: 9, Seen: 68},
		}, true},
		{"TwoInsideForAMoment", []Record{
			{Owner: "2/b", Op: Acquire, Call: 60, Return: 69, Result: Locked, Hold: 9},
			{Owner: "2/b", Op: Release, Call: 81, Return: 82, Result: Released, Hold: 9, Seen: 81},
		}, true},
		{"OneInsideFromBeforeUntilAfter", []Record{
			{Owner: "2/b", Op: Acquire, Call: 3, Return: 5, Result: Locked, Hold: 9},
			{Owner: "2/b", Op: Release, Call: 81, Return: 82, Result: Lost, Hold: 9, Seen: 81},
		}, true},
		{"AcquiredWhileHeld", []Record{
			{Owner: "2/b", Op: Acquire, Call: 55, Return: 58, Result: Locked, Hold: 9},
			{Owner: "2/b", Op: Release, Call: 59, Return: 60, Result: Lost, Hold: 9},
		}, false},
		{"ReentryRefused", []Record{{Owner: "1/a", Op: Acquire, Call: 55, Return: 58, Result: Refused}}, false},
		{"RefusedByNobody", []Record{{Owner: "2/b", Op: Acquire, Call: 81, Return: 82, Result: Refused}}, false},
		{"CountTooHigh", []Record{{Owner: "1/a", Op: Count, Call: 55, Return: 58, Result: Counted, Holds: 3}}, false},
		{"CountTooLow", []Record{{Owner: "1/a", Op: Count, Call: 55, Return: 58, Result: Counted, Holds: 1}}, false},
		{"CountOfTheHolderIsZero", []Record{{Owner: "1/a", Op: Count, Call: 55, Return: 58, Result: Counted}}, false},
		{"CountOfAStranger", []Record{{Owner: "2/b", Op: Count, Call: 55, Return: 58, Result: Counted, Holds: 1}}, false},
		{"CountOfNobody", []Record{{Owner: "1/a", Op: Count, Call: 85, Return: 86, Result: Counted, Holds: 1}}, false},
		{"FreeWhileHeld", []Record{{Owner: "2/b", Op: Ask, Call: 55, Return: 58, Result: Free}}, false},
		{"TakenByNobody", []Record{{Owner: "2/b", Op: Ask, Call: 85, Return: 86, Result: Taken}}, false},
		{"ReleasedWithoutHold", []Record{{Owner: "2/b", Op: Release, Call: 55, Return: 58, Result: Released}}, false},
		{"ReleasedAgain", []Record{{Owner: "1/a", Op: Release, Call: 85, Return: 86, Result: Released, Hold: 1, Seen: 60}}, false},
		{"HolderIsToldItHoldsNothing", []Record{{Owner: "1/a", Op: Release, Call: 55, Return: 58, Result: NotHeld}}, false},
		{"HoldIsGoneWithoutLoss", []Record{
			{Owner: "1/a", Op: Acquire, Call: 200, Return: 201, Result: Locked, Hold: 9},
			{Owner: "1/a", Op: Release, Call: 205, Return: 206, Result: NotHeld, Hold: 9, Seen: 205},
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records := slices.Concat(sound(), c.plant)
			assert.Equal(t, c.overlaps, len(Overlaps(records)) > 0, Overlaps(records))
			assert.ErrorContains(t, Check(records), "no order explains its records")
		})
	}
}

// Two goroutines of one owner are where nobody looked before.
func TestChecksFindWhatIsPlantedInACrowd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		plant    []Record
		overlaps bool // which the direct check finds, too
	}{
		{"GrantUsedTwice", []Record{ // by hold 6, and when it was passed on again
			{Owner: "1/a", Op: Acquire, Call: 375, Return: 398, Result: Locked, Hold: 9},
			{Owner: "1/a", Op: Release, Call: 402, Return: 404, Result: Lost, Hold: 9, Seen: 402},
		}, true},
		{"FirstUnlockFreesTheLockOfBoth", []Record{
			{Owner: "2/b", Op: Acquire, Call: 346, Return: 347, Result: Locked, Hold: 9},
			{Owner: "2/b", Op: Release, Call: 349, Return: 350, Result: Released, Hold: 9, Seen: 348},
		}, true},
		{"FreeWhileOneOfTwoHolds", []Record{{Owner: "2/b", Op: Ask, Call: 346, Return: 348, Result: Free}}, false},
		{"TwoAtOnceAreCountedAsOne", []Record{{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 1}}, false},
		{"TwoAtOnceAreCountedAsThree", []Record{{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 3}}, false},
		{"HoldOfTheOtherGoroutineIsNotCounted", []Record{{Owner: "1/a", Op: Count, Call: 372, Return: 373, Result: Counted}}, false},
		{"RefusedByTheOtherGoroutine", []Record{{Owner: "1/a", Op: Acquire, Call: 335, Return: 340, Result: Refused}}, false},
		{"RefusedByHoldsThatFollowOnEachOther", []Record{{Owner: "1/a", Op: Acquire, Call: 321, Return: 348, Result: Refused, Bounded: true}}, false},
		{"AbandonedAttemptIsCountedTwice", []Record{
			{Owner: "1/a", Op: Acquire, Call: 333, Return: 334, Result: Cancelled, Bounded: true},
			{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 4},
		}, false},
		{"AbandonedAttemptTakesAHoldAway", []Record{
			{Owner: "1/a", Op: Acquire, Call: 333, Return: 334, Result: Cancelled, Bounded: true},
			{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 1},
		}, false},
		{"AbandonedAttemptOfAnotherOwnerIsCounted", []Record{
			{Owner: "1/c", Op: Acquire, Call: 333, Return: 334, Result: Cancelled, Bounded: true},
			{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 3},
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			records := slices.Concat(crowd(), c.plant)
			assert.Equal(t, c.overlaps, len(Overlaps(records)) > 0, Overlaps(records))
			assert.ErrorContains(t, Check(records), "no order explains its records")
		})
	}
}

// Until it is undone, an attempt that one goroutine has given up is seen by the others.
func TestAbandonedAttemptExplainsOneMoreHold(t *testing.T) {
	t.Parallel()
	for name, attempt := range map[string]Record{
		"Cancelled": {Owner: "1/a", Op: Acquire, Call: 333, Return: 334, Result: Cancelled, Bounded: true},
		"Fault":     {Owner: "1/a", Op: Acquire, Call: 333, Return: 334, Result: Fault},
		"UnderWay":  {Owner: "1/a", Op: Acquire, Call: 333, Return: 342, Result: Cancelled, Bounded: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := Record{Owner: "1/a", Op: Count, Call: 335, Return: 340, Result: Counted, Holds: 3}
			assert.NoError(t, Check(append(crowd(), attempt, count)))
		})
	}
}

func TestTrustedHoldThatWasRemovedIsReported(t *testing.T) {
	t.Parallel()
	records := append(sound(),
		Record{Owner: "2/b", Op: Acquire, Call: 200, Return: 201, Result: Locked, Hold: 9},
		Record{Owner: "2/b", Op: Release, Call: 205, Return: 206, Result: Removed, Hold: 9, Seen: 203})
	assert.Len(t, Overlaps(records), 1)
}

func TestEachLockIsJudgedByItself(t *testing.T) {
	t.Parallel()
	other := []Record{
		{Name: "other", Owner: "2/b", Op: Acquire, Call: 55, Return: 58, Result: Locked, Hold: 9},
		{Name: "other", Owner: "2/b", Op: Release, Call: 68, Return: 69, Result: Released, Hold: 9, Seen: 68},
	}
	records := slices.Concat(sound(), other)
	assert.Empty(t, Overlaps(records))
	require.NoError(t, Check(records))
	assert.ErrorContains(t, Check(append(records, Record{Name: "other", Owner: "2/b", Op: Ask, Call: 60, Return: 61, Result: Free})), "lock other:")
}

// What disturbs a process, and attempts that end without a known outcome, explain what
// nothing else does.
func TestUnknownAttemptsExplainRefusals(t *testing.T) {
	t.Parallel()
	refusal := []Record{
		{Owner: "2/b", Op: Acquire, Call: 81, Return: 82, Result: Refused},
		{Owner: "2/b", Op: Ask, Call: 85, Return: 86, Result: Taken},
		{Owner: "2/b", Op: Count, Call: 87, Return: 88, Result: Counted, Holds: 1},
	}
	for name, cause := range map[string]Record{
		"Fault":       {Owner: "3/c", Op: Acquire, Call: 81, Return: 83, Result: Fault},
		"Cancelled":   {Owner: "3/c", Op: Acquire, Call: 70, Return: 75, Result: Cancelled, Bounded: true},
		"GaveUp":      {Owner: "3/c", Op: Acquire, Call: 70, Return: 75, Result: Refused, Bounded: true},
		"Disturbance": {Owner: "3", Op: Disturb, Call: 5, Return: 6, Note: "cut"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.NoError(t, Check(slices.Concat(sound(), refusal, []Record{cause})))
		})
	}
	t.Run("ButNotAnAttemptThatWasRefusedAtOnce", func(t *testing.T) {
		t.Parallel()
		atOnce := Record{Owner: "3/c", Op: Acquire, Call: 70, Return: 75, Result: Refused}
		assert.Error(t, Check(slices.Concat(sound(), refusal, []Record{atOnce})))
	})
	t.Run("NorWhatIsLongOver", func(t *testing.T) {
		t.Parallel()
		cause := Record{Owner: "3", Op: Disturb, Call: 5, Return: 6, Note: "cut"}
		late := slices.Concat(sound(), []Record{cause})
		late = append(late, Record{Owner: "2/b", Op: Acquire, Call: int64(aftermath) + 7, Return: int64(aftermath) + 8, Result: Refused})
		assert.NoError(t, Check(late), "b's lost hold explains it")
		late = append(late, Record{Owner: "1/a", Op: Ask, Call: 120, Return: 121, Result: Free})
		assert.Error(t, Check(late))
	})
}

// A disturbance leaves the number of holds open, but not whether there are any.
func TestDisturbanceLeavesTheCountOpen(t *testing.T) {
	t.Parallel()
	count := func(holds int, owner string) []Record {
		return append(sound(),
			Record{Owner: "1/a", Op: Count, Call: 55, Return: 58, Result: Counted, Holds: holds},
			Record{Owner: owner, Op: Disturb, Call: 50, Return: 51, Note: "cut"})
	}
	assert.NoError(t, Check(count(3, "1")))
	assert.NoError(t, Check(count(3, "")))
	assert.Error(t, Check(count(3, "2")), "another process was disturbed")
	assert.Error(t, Check(count(0, "1")))
}
