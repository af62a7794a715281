package driver;

import static java.util.concurrent.TimeUnit.SECONDS;

import java.util.HashMap;
import java.util.Map;
import org.redisson.Redisson;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/** A Redisson client and the threads that use it. */
final class Client {
    private final RedissonClient redisson;
    private final Map<String, LockThread> threads = new HashMap<>();

    Client(String address, long watchdogMillis) {
        Config config = new Config();
        config.setLockWatchdogTimeout(watchdogMillis);
        config.useSingleServer().setAddress(address).setConnectionMinimumIdleSize(4);
        redisson = Redisson.create(config);
    }

    String id() {
        return redisson.getId();
    }

    /** Returns the thread of that name, which is started when it is first asked for. */
    LockThread thread(String name) {
        return threads.computeIfAbsent(name, n -> new LockThread(redisson));
    }

    void shutdown() {
        threads.values().forEach(LockThread::end);
        redisson.shutdown(0, 5, SECONDS);
    }
}
