package access

import (
	"context"
	"os"
	"time"
)

// touching is a context that changes a file's time of modification each time it is asked whether it has ended, which a
// copy does before each read.
type touching struct {
	context.Context
	path  string
	times int
}

func (c *touching) Err() error {
	c.times++
	at := time.Unix(int64(5000+c.times), 0)
	if err := os.Chtimes(c.path, at, at); err != nil {
		return err
	}
	return c.Context.Err()
}
