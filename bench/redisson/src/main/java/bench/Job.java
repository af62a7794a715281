package bench;

/** What the worker is asked to do; what it means stands where the jobs are made. */
record Job(
        String task,
        String contender,
        String addr,
        int clients,
        int goroutines,
        int names,
        int hot,
        long hold_ms,
        long warm_ms,
        long window_ms,
        long patience_ms) {}
