package pubsub

import "time"

// SetAnswerLimit shortens the time that the server has to answer. It must be called
// before the Hub is used.
func (h *Hub) SetAnswerLimit(d time.Duration) { h.limits.answer = d }
