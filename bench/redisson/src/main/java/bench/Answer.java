package bench;

import java.util.List;

/** What the worker says; what is not there is null. */
record Answer(String error, List<Integer> acquired, Integer all, List<long[]> waits, Integer stuck, Long cpu_us) {

    static Answer empty() {
        return new Answer(null, null, null, null, null, null);
    }

    static Answer failed(Throwable reason) {
        return new Answer(reason.toString(), null, null, null, null, null);
    }

    Answer withProcessorTime(long nanos) {
        return new Answer(error, acquired, all, waits, stuck, nanos / 1000);
    }
}
