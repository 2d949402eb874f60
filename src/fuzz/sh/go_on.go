// Part of Go's internal/fuzz in a build of a fuzz target: what its coordinator does with a crash, where Go itself would end; and a bound
// of memory, which Go has none of.
package fuzz

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	keptOfStack = 16                     // inputs: whoever looks at them needs no more to know the bug
	keptAgain   = 500 * time.Millisecond // of a worker that died, which may be of any bug
)

var crashes = os.Getenv("FF_FUZZ_CRASHES")

var seen = map[string]*struct {
	count int
	last  time.Time
}{}

func init() {
	if mb, err := strconv.ParseUint(os.Getenv("FF_FUZZ_MEMORY"), 10, 40); err == nil && mb > 0 {
		syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: mb << 20, Max: mb << 20})
	}
	if crashes != "" {
		fmt.Println("fuzz: goes on after crashes")
	}
}

// The places of a report's stack; "": the worker died without one.
func stackOf(report string) string {
	var places strings.Builder
	for _, word := range strings.Fields(report) {
		if at := strings.Index(word, ".go:"); at >= 0 {
			places.WriteString(strings.TrimRight(word, ":,)]") + "\n")
		}
	}
	return places.String()
}

func (c *coordinator) goesOn(result *fuzzResult) bool {
	if result.crasherMsg == "" || crashes == "" {
		return false
	}
	if c.warmupRun() {
		c.warmupInputLeft--
		if c.warmupInputLeft == 0 {
			fmt.Fprintf(c.opts.Log, "fuzz: elapsed: %s, gathering baseline coverage: %d/%d completed, now fuzzing with %d workers\n",
				c.elapsed(), c.warmupInputCount, c.warmupInputCount, c.opts.Parallel)
		}
	}
	stack := stackOf(result.crasherMsg)
	of := seen[stack]
	if of == nil {
		of = new(struct {
			count int
			last  time.Time
		})
		seen[stack] = of
	}
	of.count++
	if of.count <= keptOfStack || (stack == "" && time.Since(of.last) > keptAgain) {
		of.last = time.Now()
		entry := result.entry
		if err := writeToCorpus(&entry, crashes); err != nil {
			fmt.Fprintln(c.opts.Log, err)
		}
	}
	return true
}
