package pubsub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

func TestUnusedConnectionIsClosedAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		assert.False(t, w.connected(), "nobody needs it")
		sub := w.hub.Subscribe("news", deaf{})
		assert.True(t, w.connected())
		time.Sleep(time.Minute)
		assert.True(t, w.connected(), "somebody listens")

		sub.Close()
		time.Sleep(2*time.Second - 1)
		assert.True(t, w.connected(), "somebody may come back")
		sub = w.hub.Subscribe("other", deaf{})
		time.Sleep(2 * time.Second)
		assert.True(t, w.connected(), "somebody came back")
		assert.Len(t, w.dials, 1, "to the same connection")

		sub.Close()
		time.Sleep(2 * time.Second)
		assert.False(t, w.connected())
		assert.Empty(t, running())

		e := newEar()
		w.hub.Subscribe("news", e)
		e.requireNext(t, subscribed())
		assert.Len(t, w.dials, 2)
	})
}

func TestKeptConnectionIsClosedTwoSecondsAfterItsLastKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		one, two := w.hub.Keep(func() {}), w.hub.Keep(func() {})
		assert.True(t, w.connected())
		one.Close()
		one.Close()
		time.Sleep(time.Minute)
		assert.True(t, w.connected(), "it is kept")
		sub := w.hub.Subscribe("news", deaf{})
		two.Close()
		time.Sleep(time.Minute)
		assert.True(t, w.connected(), "somebody listens")
		sub.Close()
		time.Sleep(2*time.Second - 1)
		assert.True(t, w.connected())
		time.Sleep(time.Nanosecond)
		assert.False(t, w.connected())
		assert.Empty(t, running())
		assert.Len(t, w.dials, 1)
	})
}

func TestKeeperIsToldOfEveryConnectionAfterTheFirst(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s)
	told := make(chan struct{}, 100)
	keeper := hub.Keep(func() { told <- struct{}{} })
	e := newEar()
	sub := hub.Subscribe("news", e)
	e.requireNext(t, subscribed())
	assert.Empty(t, told, "there was no interruption")
	for range 3 {
		s.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
		e.requireInterrupted(t, "")
		e.requireNext(t, subscribed())
		assert.Len(t, told, 1, "it was told before the channels were subscribed again")
		<-told
	}
	// And with nothing subscribed.
	sub.Close()
	eventually(t, func() bool { return hub.Len() == 0 }, "the channel is left")
	s.Restart(t)
	<-told
	keeper.Close()
	s.Restart(t)
	defer hub.Subscribe("news", e).Close()
	e.requireSubscribedAgain(t)
	assert.Empty(t, told, "it is no keeper any more")
}

func TestAttemptsToConnectComeWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		e := newEar()
		sub := w.hub.Subscribe("news", e)
		e.requireNext(t, subscribed())
		<-w.dials
		time.Sleep(time.Minute)

		w.down.Store(true)
		broken := time.Now()
		w.server.Close()
		e.requireInterrupted(t, "")
		last := <-w.dials
		assert.Equal(t, broken, last, "the first attempt is made at once")
		pause := 20 * time.Millisecond
		for i := range 30 {
			e.requireInterrupted(t, "down")
			dial := <-w.dials
			assert.GreaterOrEqual(t, dial.Sub(last), pause/2, i)
			assert.LessOrEqual(t, dial.Sub(last), pause*3/2, i)
			last = dial
			pause = min(2*pause, 250*time.Millisecond)
		}
		w.down.Store(false)
		e.requireSubscribedAgain(t)
		assert.Less(t, time.Since(last), 400*time.Millisecond)

		// Once a connection was of use, the pauses begin anew.
		<-w.dials
		time.Sleep(time.Second)
		broken = time.Now()
		w.server.Close()
		e.requireInterrupted(t, "")
		e.requireNext(t, subscribed())
		assert.Equal(t, broken, <-w.dials)
		sub.Close()
	})
}

// With a server that breaks every connection soon, a hub that connected again at once
// would do nothing else.
func TestConnectionsThatBreakAtOnceAreMadeWithPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		e := newEar()
		w.hub.Subscribe("news", e)
		began := time.Now()
		for range 20 {
			e.requireSubscribedAgain(t)
			w.server.Close()
		}
		assert.Greater(t, time.Since(began), 2*time.Second)
	})
}

func TestNobodyConnectsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		w.down.Store(true)
		e := newEar()
		sub := w.hub.Subscribe("news", e)
		keeper := w.hub.Keep(func() {})
		time.Sleep(time.Minute)
		e.requireInterrupted(t, "")
		sub.Close()
		keeper.Close()
		assert.Zero(t, w.hub.Len())
		time.Sleep(2 * time.Second) // the pause that it is in
		synctest.Wait()
		assert.Empty(t, running())
		dials := len(w.dials)
		time.Sleep(time.Minute)
		assert.Len(t, w.dials, dials)
	})
}

func TestSilentServerInterruptsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		e := newEar()
		w.hub.Subscribe("news", e)
		e.requireNext(t, subscribed())
		time.Sleep(time.Minute)
		w.mute.Store(true)
		began := time.Now()
		w.hub.Subscribe("more", deaf{})
		e.requireInterrupted(t, "")
		assert.Equal(t, 5*time.Second, time.Since(began), "SUBSCRIBE is not answered")
		e.requireInterrupted(t, "")
		assert.Less(t, time.Since(began), 11500*time.Millisecond, "the next connection does not answer either")
		w.mute.Store(false)
		e.requireSubscribedAgain(t)
	})
}

func TestIdleConnectionToASilentServerIsFoundByThePingsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		e := newEar()
		w.hub.Subscribe("news", e)
		e.requireNext(t, subscribed())
		w.mute.Store(true)
		began := time.Now()
		e.requireInterrupted(t, "")
		assert.LessOrEqual(t, time.Since(began), 12*time.Second)
		w.mute.Store(false)
		e.requireSubscribedAgain(t)
	})
}

func TestConnectionThatCannotBeHadInterruptsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(o *rueidis.ClientOption) { o.BlockingPoolSize = 1 })
		// The client has one connection to give away, and gave it.
		other, release := w.client.Dedicate()
		require.NoError(t, other.Do(t.Context(), other.B().Ping().Build()).Error())

		e := newEar()
		began := time.Now()
		sub := w.hub.Subscribe("news", e)
		e.requireInterrupted(t, "")
		assert.Equal(t, 5*time.Second, time.Since(began))
		e.requireInterrupted(t, "")
		release()
		e.requireSubscribedAgain(t)
		sub.Close()
	})
}

func TestCloseDoesNotWaitForAConnectionThatCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, func(o *rueidis.ClientOption) { o.BlockingPoolSize = 1 })
		other, release := w.client.Dedicate()
		require.NoError(t, other.Do(t.Context(), other.B().Ping().Build()).Error())
		e := newEar()
		w.hub.Subscribe("news", e)
		synctest.Wait()
		began := time.Now()
		w.hub.Close()
		assert.Equal(t, 1500*time.Millisecond, time.Since(began))
		requireClosed(t, e)
		release()
		synctest.Wait()
		assert.Empty(t, running(), "what came too late was given back")
	})
}
