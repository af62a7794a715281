package bench;

import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.HdrHistogram.Histogram;
import org.redisson.api.RLock;

/** One thread of a crew. It is looked at while it works, hence the synchronized methods. */
final class Member {
    private static final long LONGEST_NANOS = 600_000_000_000L;

    private final List<RLock> locks;
    private final int hot; // of these; 0: there is one lock
    private final Histogram waits = new Histogram(LONGEST_NANOS, 3);
    private long end; // by System.nanoTime, as the others
    private long began;
    private boolean waiting;
    private int acquired; // before the end
    private int all;

    Member(List<RLock> locks, int hot) {
        this.locks = locks;
        this.hot = hot;
    }

    /** Forgets what the member did before. */
    synchronized void begin(long end) {
        this.end = end;
        acquired = 0;
        all = 0;
        waits.reset();
    }

    /** Locks and unlocks until the end. */
    void work(long end, long holdMillis) throws InterruptedException {
        while (System.nanoTime() - end < 0) {
            RLock lock = pick();
            beginToWait();
            lock.lock();
            try {
                acquire();
                if (holdMillis > 0) {
                    Thread.sleep(holdMillis);
                }
            } finally {
                lock.unlock();
            }
        }
    }

    private RLock pick() {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        if (hot == 0) {
            return locks.get(0);
        }
        if (random.nextInt(10) > 0) {
            return locks.get(random.nextInt(hot));
        }
        return locks.get(random.nextInt(hot, locks.size()));
    }

    private synchronized void beginToWait() {
        began = System.nanoTime();
        waiting = true;
    }

    private synchronized void acquire() {
        long now = System.nanoTime();
        waits.recordValue(Math.min(now - began, LONGEST_NANOS));
        waiting = false;
        all++;
        if (now - end < 0) {
            acquired++;
        }
    }

    synchronized int acquired() {
        return acquired;
    }

    synchronized int all() {
        return all;
    }

    /** Adds its waits to others, and reports whether it still waits. */
    synchronized boolean addWaits(Histogram sum) {
        sum.add(waits);
        if (waiting) {
            sum.recordValue(Math.min(System.nanoTime() - began, LONGEST_NANOS));
        }
        return waiting;
    }
}
