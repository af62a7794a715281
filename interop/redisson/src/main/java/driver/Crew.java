package driver;

import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;
import org.redisson.api.RBucket;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.client.codec.StringCodec;

/** Several threads that want one lock, again and again. */
final class Crew {
    private final RedissonClient redisson;
    private final RLock lock;

    Crew(RedissonClient redisson, String name) {
        this.redisson = redisson;
        lock = redisson.getLock(name);
    }

    /** Lets threads add one to a counter, each so many times, with a GET and a SET. */
    String count(String key, int threads, int rounds) throws InterruptedException {
        RBucket<String> counter = redisson.getBucket(key, StringCodec.INSTANCE);
        return inParallel(threads, () -> {
            for (int i = 0; i < rounds; i++) {
                locked(() -> {
                    String value = counter.get();
                    counter.set(String.valueOf(value == null ? 1 : Long.parseLong(value) + 1));
                });
            }
            return rounds;
        });
    }

    /** Lets threads lock and unlock for a while, and returns how often they did. */
    String contend(int threads, long millis) throws InterruptedException {
        long end = System.nanoTime() + millis * 1_000_000;
        return inParallel(threads, () -> {
            long acquired = 0;
            while (System.nanoTime() - end < 0) {
                locked(() -> { });
                acquired++;
            }
            return acquired;
        });
    }

    private void locked(Runnable work) {
        lock.lock();
        try {
            work.run();
        } finally {
            lock.unlock();
        }
    }

    private static String inParallel(int threads, LongSupplier work) throws InterruptedException {
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        try {
            List<Future<Long>> results =
                    IntStream.range(0, threads).mapToObj(i -> executor.submit(work::getAsLong)).toList();
            long sum = 0;
            for (Future<Long> result : results) {
                sum += result.get();
            }
            return String.valueOf(sum);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e.getCause());
        } finally {
            executor.shutdownNow();
        }
    }
}
