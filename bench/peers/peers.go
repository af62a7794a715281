package peers

import (
	"time"

	"github.com/go-rlock/rlock/bench"
)

// lease is for how long a lock is taken where the library does not decide: the default
// of the lock that is compared.
const lease = 30 * time.Second

// Contenders returns one for each library.
func Contenders() []bench.Contender {
	return []bench.Contender{
		{Name: "redsync", Open: openRedsync},
		{Name: "redislock", Open: openRedislock},
		{Name: "rueidislock", Open: openRueidislock},
	}
}
