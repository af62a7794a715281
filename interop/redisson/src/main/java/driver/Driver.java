package driver;

import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Does with the real Redisson what it is told line by line on standard input, and
 * answers on standard output: "ID ok VALUE" or "ID error CLASS MESSAGE". Requests to
 * one thread of one client are carried out in their order, all others at once, so an
 * answer may come after those to later requests. The end of the input, or the verb
 * "quit", ends the driver without releasing anything.
 */
public final class Driver {
    private static final PrintStream ANSWERS =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    private final Map<String, Client> clients = new ConcurrentHashMap<>();

    public static void main(String[] args) throws IOException {
        System.setOut(System.err); // whatever a library prints is no answer
        Driver driver = new Driver();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            Request request = Request.parse(line);
            if (request.verb().equals("quit")) {
                break;
            }
            driver.dispatch(request);
        }
        Runtime.getRuntime().halt(0);
    }

    private void dispatch(Request request) {
        switch (request.verb()) {
            case "connect" -> apart(request, () -> {
                Client client = new Client(request.text(0), request.number(1));
                clients.put(request.client(), client);
                return client.id();
            });
            case "disconnect" -> apart(request, () -> {
                clients.remove(request.client()).shutdown();
                return "";
            });
            default -> {
                Client client = clients.get(request.client());
                if (client == null) {
                    answer(request, () -> {
                        throw new IllegalArgumentException("there is no client " + request.client());
                    });
                    return;
                }
                LockThread thread = client.thread(request.thread());
                thread.execute(() -> answer(request, () -> thread.perform(request)));
            }
        }
    }

    /** Does what takes a while and belongs to no thread of a client. */
    private static void apart(Request request, Callable<String> work) {
        Thread thread = new Thread(() -> answer(request, work));
        thread.setDaemon(true);
        thread.start();
    }

    private static void answer(Request request, Callable<String> work) {
        String answer;
        try {
            answer = "ok " + Request.encode(work.call());
        } catch (Exception e) {
            answer = "error " + e.getClass().getSimpleName() + " " + Request.encode(String.valueOf(e.getMessage()));
        }
        ANSWERS.println(request.id() + " " + answer);
    }
}
