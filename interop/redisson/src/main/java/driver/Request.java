package driver;

import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * One line of the driver's input: an id, a client, a thread of it, a verb and its
 * arguments, each form-encoded, with spaces in between. The answer repeats the id.
 */
record Request(String id, String client, String thread, String verb, List<String> arguments) {
    static Request parse(String line) {
        List<String> words = Arrays.stream(line.split(" ")).map(Request::decode).toList();
        return new Request(words.get(0), words.get(1), words.get(2), words.get(3), words.subList(4, words.size()));
    }

    private static String decode(String word) {
        return URLDecoder.decode(word, StandardCharsets.UTF_8);
    }

    static String encode(String word) {
        return URLEncoder.encode(word, StandardCharsets.UTF_8);
    }

    String text(int argument) {
        return arguments.get(argument);
    }

    long number(int argument) {
        return Long.parseLong(arguments.get(argument));
    }
}
