package bench;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.HdrHistogram.Histogram;
import org.redisson.api.RLock;

/** The threads of a workload. */
final class Crew {
    private final List<Member> members = new ArrayList<>();
    private final Job job;

    Crew(Job job, Clients clients) {
        this.job = job;
        for (int client = 0; client < clients.count(); client++) {
            for (int i = 0; i < job.goroutines(); i++) {
                members.add(new Member(locks(clients, client), job.hot()));
            }
        }
    }

    private List<RLock> locks(Clients clients, int client) {
        IntStream numbers = job.hot() == 0
                ? IntStream.of(members.size() % job.names())
                : IntStream.range(0, job.names());
        return numbers
                .mapToObj(i -> clients.lock(client, job.contender(), "bench:" + job.contender() + ":" + i))
                .toList();
    }

    /** Locks and unlocks for a while, and waits for those that are at it then. */
    Answer workFor(long millis) throws Exception {
        long now = System.nanoTime();
        long end = now + TimeUnit.MILLISECONDS.toNanos(millis);
        long limit = end + TimeUnit.MILLISECONDS.toNanos(job.patience_ms());
        AtomicReference<Exception> failure = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (Member member : members) {
            member.begin(end);
            threads.add(start(() -> member.work(end, job.hold_ms()), failure));
        }
        for (Thread thread : threads) {
            thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(limit - System.nanoTime())));
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        return answer();
    }

    private interface Work {
        void run() throws Exception;
    }

    private static Thread start(Work work, AtomicReference<Exception> failure) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Exception e) {
                failure.compareAndSet(null, e);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private Answer answer() {
        Histogram sum = new Histogram(600_000_000_000L, 3);
        int stuck = 0;
        for (Member member : members) {
            stuck += member.addWaits(sum) ? 1 : 0;
        }
        List<long[]> waits = new ArrayList<>();
        sum.recordedValues().forEach(v -> waits.add(new long[] {v.getValueIteratedTo(), v.getCountAtValueIteratedTo()}));
        return new Answer(
                null,
                members.stream().map(Member::acquired).toList(),
                members.stream().mapToInt(Member::all).sum(),
                waits,
                stuck,
                null);
    }
}
