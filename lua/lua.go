package lua

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Status is what a script found at a lock's name.
type Status int64

// The numbers are those that the scripts return.
const (
	// NotOwner means that the owner has no hold on the lock.
	NotOwner Status = 0
	// Done means that the owner had or got the lock and the script did its work.
	Done Status = 1
	// Gone means that an owner which wanted one more hold has none any more.
	Gone Status = 2
	// OtherKind means that the owner's field is part of a read-write lock.
	OtherKind Status = 3
	// Queued means that processes have left tickets for the lock.
	Queued Status = 4
)

// Free is the time to live that a script reports for a lock that nobody has.
const Free = -2 * time.Millisecond

// Forever is the time to live that a script reports for a lock that never expires.
const Forever = -1 * time.Millisecond

// milliseconds returns d in the unit of the wire, rounded up: no lease is shorter
// than was asked for, nor 0, with which it would end at once. It is the only place
// where a duration becomes a number.
func milliseconds(d time.Duration) string {
	ms := d.Milliseconds()
	if d > duration(ms) {
		ms++
	}
	return strconv.FormatInt(ms, 10)
}

// duration returns the wire's number of milliseconds as a duration.
func duration(ms int64) time.Duration {
	return time.Duration(ms) * time.Millisecond
}

// clock returns the server's time, or the zero time if the script did not get it.
func clock(seconds, micros int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, micros*1000)
}

// flag returns a truth value as scripts read it.
func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// ErrReply means that what came was no reply of the script: something that is no Redis
// answered, or changed the answer on its way. The script may have run.
var ErrReply = errors.New("the reply is none that the script gives")

// array decodes a reply of several values.
func array(reply rueidis.RedisResult) ([]rueidis.RedisMessage, error) {
	message, err := reply.ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		return nil, err
	}
	values, err := message.ToArray()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrReply, seen(message))
	}
	return values, nil
}

// integer decodes a value of a reply.
func integer(value *rueidis.RedisMessage) (int64, error) {
	n, err := value.ToInt64()
	if err != nil {
		return 0, fmt.Errorf("%w: %s for an integer", ErrReply, seen(*value))
	}
	return n, nil
}

// text decodes a value of a reply.
func text(value *rueidis.RedisMessage) (string, error) {
	s, err := value.ToString()
	if err != nil {
		return "", fmt.Errorf("%w: %s for a text", ErrReply, seen(*value))
	}
	return s, nil
}

// seen returns what a message says, as a part of an error text.
func seen(message rueidis.RedisMessage) string {
	said, err := message.ToAny()
	if err != nil {
		said = err
	}
	return fmt.Sprintf("%.100q", fmt.Sprint(said))
}

// integers decodes a reply of as many integers as there is room for.
func integers(reply rueidis.RedisResult, numbers []int64) error {
	values, err := array(reply)
	if err != nil {
		return err
	}
	if len(values) != len(numbers) {
		return fmt.Errorf("%w: %d values for %d", ErrReply, len(values), len(numbers))
	}
	for i := range values {
		if numbers[i], err = integer(&values[i]); err != nil {
			return err
		}
	}
	return nil
}

// pair decodes a reply of the form {status, value}.
func pair(reply rueidis.RedisResult) (Status, int64, error) {
	var values [2]int64
	if err := integers(reply, values[:]); err != nil {
		return 0, 0, err
	}
	return Status(values[0]), values[1], nil
}
