package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit statuses, beside 0 and 128 + the number of the signal that interrupted.
const (
	statusWrong = 1 // it ran, and the result is not what it should be
	statusUsage = 2 // it did not run: a bad command line, or no server
)

// A statusError ends the program with a status, after its text, if it has one, was
// written to standard error.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// run executes one command line and returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	ended := &statusError{status: statusUsage, err: err}
	if status := (*statusError)(nil); errors.As(err, &status) {
		ended = status
	}
	if ended.err != nil {
		_, _ = fmt.Fprintf(stderr, "rlock: %v\n", ended.err)
	}
	return ended.status
}

// newRootCommand returns the command "rlock" with all that is below it.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "rlock",
		Short: "Distributed locks on Redis and Valkey",
		Long: `rlock is the command line of github.com/go-rlock/rlock: distributed locks for Go
on Redis and Valkey, wire-compatible with Redisson.`,
		Example: `  rlock demo           two processes share one lock; nothing else is needed
  rlock demo --help    what the demonstration does, and what can be changed`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%q is not a command; there is %s", args[0], strings.Join(commandNames(cmd), ", "))
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(explainFlagError)
	root.AddCommand(newDemoCommand(), newWorkerCommand())
	return root
}

// commandNames returns the names of the commands below cmd that a user may give.
func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			names = append(names, sub.Name())
		}
	}
	return names
}

// explainFlagError adds to a flag that does not exist the flags that do.
func explainFlagError(cmd *cobra.Command, err error) error {
	if missing := (*pflag.NotExistError)(nil); !errors.As(err, &missing) {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return fmt.Errorf("%w; %q takes %s", err, cmd.CommandPath(), strings.Join(names, ", "))
}
