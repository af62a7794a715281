package driver;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.stream.Collectors;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;

/**
 * A thread that locks: an owner, as Redisson sees it. It keeps the handle of every lock
 * that it has used, as a program does that has it in a field.
 */
final class LockThread {
    private final RedissonClient redisson;
    private final ExecutorService executor = Executors.newSingleThreadExecutor(LockThread::daemon);
    private final Map<String, RLock> handles = new HashMap<>();

    LockThread(RedissonClient redisson) {
        this.redisson = redisson;
    }

    private static Thread daemon(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    }

    void execute(Runnable work) {
        executor.execute(work);
    }

    void end() {
        executor.shutdownNow();
    }

    /** Carries out a request and returns the value to answer. It runs in this thread. */
    String perform(Request request) throws InterruptedException {
        return switch (request.verb()) {
            case "id" -> String.valueOf(threadId());
            case "methods" -> Arrays.stream(RLock.class.getMethods())
                    .map(Method::getName).distinct().collect(Collectors.joining(" "));
            case "permits" -> {
                redisson.getSemaphore(request.text(0)).trySetPermits((int) request.number(1));
                yield "";
            }
            case "count" -> new Crew(redisson, request.text(0))
                    .count(request.text(1), (int) request.number(2), (int) request.number(3));
            case "contend" -> new Crew(redisson, request.text(0))
                    .contend((int) request.number(1), request.number(2));
            default -> perform(request, handle(request.text(0), request.text(1)));
        };
    }

    /** Carries out a request whose first arguments are the kind and the name of a lock. */
    private static String perform(Request request, RLock lock) throws InterruptedException {
        switch (request.verb()) {
            case "lock" -> lock.lock();
            case "lockWithLease" -> lock.lock(request.number(2), MILLISECONDS);
            case "unlock" -> lock.unlock();
            case "tryLock" -> {
                return String.valueOf(lock.tryLock());
            }
            case "tryLockWithin" -> {
                return String.valueOf(lock.tryLock(request.number(2), MILLISECONDS));
            }
            case "tryLockWithLease" -> {
                return String.valueOf(lock.tryLock(request.number(2), request.number(3), MILLISECONDS));
            }
            case "forceUnlock" -> {
                return String.valueOf(lock.forceUnlock());
            }
            case "isLocked" -> {
                return String.valueOf(lock.isLocked());
            }
            case "isHeld" -> {
                return String.valueOf(lock.isHeldByCurrentThread());
            }
            case "holdCount" -> {
                return String.valueOf(lock.getHoldCount());
            }
            case "ttl" -> {
                return String.valueOf(lock.remainTimeToLive());
            }
            default -> throw new IllegalArgumentException("there is no verb " + request.verb());
        }
        return "";
    }

    private RLock handle(String kind, String name) {
        return handles.computeIfAbsent(kind + " " + name, k -> switch (kind) {
            case "plain" -> redisson.getLock(name);
            case "fair" -> redisson.getFairLock(name);
            case "read" -> redisson.getReadWriteLock(name).readLock();
            case "write" -> redisson.getReadWriteLock(name).writeLock();
            case "fenced" -> redisson.getFencedLock(name);
            case "spin" -> redisson.getSpinLock(name);
            default -> throw new IllegalArgumentException("there is no kind " + kind);
        });
    }

    @SuppressWarnings("deprecation") // its successor is newer than the JDK that we ask for
    private static long threadId() {
        return Thread.currentThread().getId();
    }
}
