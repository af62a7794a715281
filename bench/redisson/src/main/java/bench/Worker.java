package bench;

import com.google.gson.Gson;
import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.redisson.api.RLock;

/**
 * Does jobs with Redisson: for each one a line of JSON on the standard input and an answer on
 * the standard output once it is ready; a line "go", and the answer with the figures; a line
 * "end", and an answer once its clients are closed.
 */
public final class Worker {
    private static final Gson GSON = new Gson();

    private final BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    private Worker() {}

    public static void main(String[] args) throws IOException {
        new Worker().work();
        System.exit(0); // whatever threads there are
    }

    private void work() throws IOException {
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Answer end = Answer.empty();
            try {
                run(GSON.fromJson(line, Job.class));
            } catch (Exception e) {
                end = Answer.failed(e);
            }
            say(end);
        }
    }

    private void run(Job job) throws Exception {
        switch (job.task()) {
            case "compete" -> compete(job);
            case "idle" -> idle(job);
            default -> throw new IllegalArgumentException("unknown task " + job.task());
        }
    }

    private void compete(Job job) throws Exception {
        try (Clients clients = new Clients(job.addr(), job.clients(), job.goroutines())) {
            Crew crew = new Crew(job, clients);
            if (crew.workFor(job.warm_ms()).stuck() > 0) {
                throw new IllegalStateException("somebody still waits " + job.patience_ms()
                        + " ms after the last one wanted the lock");
            }
            measure(() -> crew.workFor(job.window_ms()));
        }
    }

    /** Lets somebody keep a lock while all others wait for it. */
    private void idle(Job job) throws Exception {
        String name = "bench:idle";
        CountDownLatch end = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        try (Clients clients = new Clients(job.addr(), 1 + job.clients(), job.goroutines())) {
            CountDownLatch held = new CountDownLatch(1);
            threads.add(new Thread(() -> hold(clients.lock(0, job.contender(), name), held, end)));
            for (int client = 1; client < clients.count(); client++) {
                RLock lock = clients.lock(client, job.contender(), name);
                for (int i = 0; i < job.goroutines(); i++) {
                    threads.add(new Thread(() -> queue(lock)));
                }
            }
            threads.get(0).start();
            held.await();
            threads.forEach(thread -> {
                if (thread.getState() == Thread.State.NEW) {
                    thread.setDaemon(true);
                    thread.start();
                }
            });
            Thread.sleep(job.warm_ms());
            measure(() -> {
                Thread.sleep(job.window_ms());
                return Answer.empty();
            });
            for (Thread thread : threads.subList(1, threads.size())) {
                thread.interrupt();
            }
            for (Thread thread : threads.subList(1, threads.size())) {
                thread.join(job.patience_ms());
            }
            end.countDown();
            threads.get(0).join(job.patience_ms());
        }
    }

    private static void hold(RLock lock, CountDownLatch held, CountDownLatch end) {
        lock.lock();
        held.countDown();
        try {
            end.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        lock.unlock();
    }

    private static void queue(RLock lock) {
        try {
            lock.lockInterruptibly();
        } catch (InterruptedException e) {
            return; // nobody needs it any more
        }
        lock.unlock();
    }

    /**
     * Says that the worker is ready, waits for the word, does what is measured, says how that
     * went, and waits for the word again, because what the worker does after that is not measured.
     */
    private void measure(Callable<Answer> what) throws Exception {
        say(Answer.empty());
        await();
        long before = processorTime();
        Answer answer = what.call();
        say(answer.withProcessorTime(processorTime() - before));
        await();
    }

    private void await() throws IOException {
        if (in.readLine() == null) {
            throw new IOException("nobody said to go on");
        }
    }

    private static long processorTime() {
        return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    private static void say(Answer answer) {
        System.out.println(GSON.toJson(answer));
        System.out.flush();
    }
}
