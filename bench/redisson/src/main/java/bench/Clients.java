package bench;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.redisson.Redisson;
import org.redisson.api.RLock;
import org.redisson.api.RedissonClient;
import org.redisson.config.Config;

/**
 * Redisson clients, each with connections and an identity of its own, as processes have.
 * The threads that do the input and output are shared, as many as one client has by
 * default: with a set for each, the machine would be busy switching between them.
 */
final class Clients implements AutoCloseable {
    private static final int NETTY_THREADS = 32;
    private static final int EXECUTOR_THREADS = 16;
    private static final int MOST_IDLE_CONNECTIONS = 24; // Redisson's default for one client

    private static final EventLoopGroup LOOPS =
            new MultiThreadIoEventLoopGroup(NETTY_THREADS, NioIoHandler.newFactory());
    private static final ExecutorService EXECUTOR = Executors.newFixedThreadPool(EXECUTOR_THREADS);

    private final List<RedissonClient> clients = new ArrayList<>();

    Clients(String addr, int count, int threads) {
        for (int i = 0; i < count; i++) {
            Config config = new Config();
            config.setEventLoopGroup(LOOPS);
            config.setExecutor(EXECUTOR);
            config.useSingleServer()
                    .setAddress("redis://" + addr)
                    .setConnectionMinimumIdleSize(Math.min(MOST_IDLE_CONNECTIONS, 1 + threads));
            clients.add(Redisson.create(config));
        }
    }

    int count() {
        return clients.size();
    }

    /** The lock of a client, of the kind that the contender is named after. */
    RLock lock(int client, String contender, String name) {
        RedissonClient redisson = clients.get(client);
        return switch (contender) {
            case "redisson" -> redisson.getLock(name);
            case "redisson-fair" -> redisson.getFairLock(name);
            case "redisson-spin" -> redisson.getSpinLock(name);
            default -> throw new IllegalArgumentException("unknown contender " + contender);
        };
    }

    @Override
    public void close() {
        clients.forEach(RedissonClient::shutdown);
    }
}
