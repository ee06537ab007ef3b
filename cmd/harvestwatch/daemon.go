package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/harvestwatch/harvestwatch"
	"github.com/harvestwatch/harvestwatch/detector"
	"github.com/harvestwatch/harvestwatch/firewall"
	"github.com/harvestwatch/harvestwatch/internal/control"
	"github.com/harvestwatch/harvestwatch/internal/pipeline"
	"github.com/harvestwatch/harvestwatch/internal/recipients"
	"github.com/harvestwatch/harvestwatch/internal/reputation"
	"github.com/harvestwatch/harvestwatch/parsers"
	"github.com/harvestwatch/harvestwatch/rules"
	"github.com/harvestwatch/harvestwatch/store"
)

// daemon follows logs, decides, records, and keeps the firewall in step. Its loop's goroutine owns everything but
// what is marked; beside it run one goroutine for each followed log, one for the reconciler, one for the control
// socket, and one for the clock of the housekeeping. run starts them and waits for all of them.
type daemon struct {
	p          *program
	cfg        *Config
	log        *slog.Logger
	set        *rules.Set
	judge      *rules.Judge
	spared     spared            // safe for concurrent use
	denier     denier            // belongs to the loop's goroutine
	asker      *reputation.Asker // asks the DNS about suspects; nil where nothing is asked. Safe for concurrent use
	hangup     chan os.Signal    // a value makes the daemon read its lists again
	running    context.Context   // ends with the loop, for what others than the daemon call back; set by run
	seen       listFiles         // what the lists' files were like; watchLists' own
	denied     denied            // what of the deny list the firewall is to hold; safe for concurrent use
	owed       store.Batch       // what the detector gave to a commit that failed; the loop's
	det        *detector.Detector
	lock       *os.File     // held as long as the state is ours
	st         *store.Store // safe for concurrent use
	enf        firewall.Enforcer
	rec        *firewall.Reconciler // safe for concurrent use; nil when nothing is enforced
	want       wantList             // safe for concurrent use
	inputs     []*liveInput
	files      *files
	samples    map[string]parsers.Parser // by path: parsers that only look at single lines of evidence
	live       *live
	left       map[string][]byte  // by path: events that were parsed and not observed, while the daemon opens
	timeline   *pipeline.Timeline // belongs to the loop's goroutine
	recipients *recipients.Source // nil where none is configured; safe for concurrent use
	tableEvery time.Duration      // how often a database is looked at
	started    time.Time
	rollout    rules.Rollout
	stats      daemonStats
	notices    []*harvestwatch.Notice // the latest, the newest last; the loop's

	listProblem, denyProblem problem // what is wrong with the lists, "" for nothing
}

// daemonStats count since the daemon was started.
type daemonStats struct {
	decisions, late, future int64
}

// enforcing reports whether blocks are put into effect.
func (d *daemon) enforcing() bool { return d.cfg.Mode == "enforce" }

// poke tells the reconciler that the wanted blocks may have changed.
func (d *daemon) poke() {
	if d.rec != nil {
		d.rec.Poke()
	}
}

// newDaemon opens everything the daemon needs, in the order in which a mistake is cheapest: the configuration's own
// first, the firewall last.
func (p *program) newDaemon(ctx context.Context, cfg *Config, log *slog.Logger) (*daemon, error) {
	d := &daemon{p: p, cfg: cfg, log: log, files: &files{}, samples: map[string]parsers.Parser{}, tableEvery: tableEvery, started: p.now(),
		hangup: make(chan os.Signal, 1)}
	d.live = &live{d: d, arrivals: make(chan arrival), asks: make(chan func()), ended: make(chan struct{})}
	var err error
	if d.set, err = loadRules(cfg.Rules); err != nil {
		return nil, err
	}
	if err := sameFiles(cfg.Inputs); err != nil {
		return nil, err
	}
	if d.recipients, err = cfg.Recipients.source(cfg); err != nil {
		return nil, err
	}
	never := append(named(cfg.never, "configured"), named(ownAddresses(log), "own address")...)
	d.spared.never = rules.Never(never...)
	if err := d.loadGuards(); err != nil {
		return nil, err
	}
	if d.asker, err = d.newAsker(); err != nil {
		return nil, err
	}
	if d.lock, err = lockState(cfg.State); err != nil {
		return nil, failed(err)
	}
	if d.st, err = store.Open(cfg.State, store.Options{Now: p.now(), Warn: func(s string) { log.Error(s) }}); err != nil {
		return nil, failed(errors.Join(err, d.lock.Close()))
	}
	if err = d.startRollout(ctx); err == nil {
		d.judge = rules.NewJudge(d.set, rules.Policy{Enforce: d.enforcing(), Never: never, Lists: d.spared.lists.Load(),
			Pools: poolNetworks(d.spared.pools.Load()), Verified: cfg.Providers.Verified, Rollout: d.rollout})
		d.denier = denier{judge: d.judge, lists: d.spared.lists.Load()}
		err = errors.Join(d.resumeDenier(ctx), d.restore(ctx))
	}
	if err == nil {
		err = d.openFirewall()
	}
	if err == nil {
		err = d.adopt(ctx)
	}
	if err != nil {
		return nil, failed(errors.Join(err, d.close()))
	}
	return d, nil
}

func named(prefixes []netip.Prefix, name string) []rules.Network {
	var list []rules.Network
	for _, p := range prefixes {
		list = append(list, rules.Network{Prefix: p, Name: name})
	}
	return list
}

// ownAddresses returns this machine's addresses, which are never blocked.
func ownAddresses(log *slog.Logger) []netip.Prefix {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		log.Warn("own addresses are not known: name them under never", "error", err)
	}
	var list []netip.Prefix
	for _, a := range addrs {
		if ipn, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(ipn.IP); ok {
				ip = ip.Unmap()
				list = append(list, netip.PrefixFrom(ip, ip.BitLen()))
			}
		}
	}
	return list
}

// restore brings back what an earlier run remembered.
func (d *daemon) restore(ctx context.Context) error {
	key, ok, err := hashKey(ctx, &d.st.Reader)
	if err != nil {
		return err
	}
	if !ok {
		_, _ = rand.Read(key[:]) // it never fails (crypto/rand)
		secret := &store.Batch{Now: d.p.now(), Parser: []store.State{{Input: metaInput, Key: []byte(metaHashKey), Value: key[:]}}}
		if err := d.st.Commit(ctx, secret); err != nil {
			return err
		}
	}
	if err := d.restoreTimeline(ctx); err != nil {
		return err
	}
	former, err := d.cfg.Recipients.formerUsers(ctx)
	if err != nil {
		return err
	}
	d.det = detector.New(d.set, detector.Options{Key: key, FormerUsers: former})
	if err := loadDetector(ctx, &d.st.Reader, d.det); err != nil {
		return err
	}
	if err := errors.Join(d.resumeJudge(ctx), d.resumeNotices(ctx)); err != nil {
		return err
	}
	return d.restoreInputs(ctx)
}

// resumeJudge tells the judge's breaker of the blocks, and would-be blocks, that count for it: what a guard kept from being
// a block does not.
func (d *daemon) resumeJudge(ctx context.Context) error {
	records, err := d.st.History(ctx, store.Query{Bare: true})
	if err != nil {
		return err
	}
	var blocks []harvestwatch.Block
	for i := len(records) - 1; i >= 0; i-- { // the oldest first
		dec := &records[i].Decision
		r, known := d.set.Rule(dec.Offence.Rule)
		enforced := known && r.Mode == rules.Enforce || dec.Offence.Rule == rules.DenyRule
		if enforced && dec.Guard == "" && (dec.Action == harvestwatch.ActBlock || dec.Action == harvestwatch.ActObserve) {
			blocks = append(blocks, harvestwatch.Block{From: dec.Offence.Fired, Until: dec.Until})
		}
	}
	d.judge.Resume(blocks)
	return nil
}

// timelineInput is the name under which the store keeps the timeline; no path is relative.
const timelineInput = "timeline"

// restoreTimeline makes the timeline of the inputs, and gives it back what it remembered.
func (d *daemon) restoreTimeline(ctx context.Context) error {
	ids := make([]uint32, len(d.cfg.Inputs))
	for i := range ids {
		h := fnv.New32a()
		h.Write([]byte(d.cfg.Inputs[i].Path))
		ids[i] = max(h.Sum32(), 1)
	}
	d.timeline = pipeline.NewTimeline(ids, recipientTwin)
	d.left = map[string][]byte{}
	err := d.st.LoadParser(ctx, timelineInput, func(key, value []byte) error {
		if len(key) > 0 && key[0] == queueKey {
			d.left[string(key[1:])] = clone(value)
			return nil
		}
		return d.timeline.Restore(key, value)
	})
	if errors.Is(err, pipeline.ErrState) {
		d.log.Error("what several logs told can't be used, it begins anew: the last minute may count twice", "error", err)
		d.timeline = pipeline.NewTimeline(ids, recipientTwin)
		return d.st.Commit(ctx, &store.Batch{Now: d.p.now(), Parser: []store.State{{Input: timelineInput}}})
	}
	return err
}

// startRollout finds out where the installation is in its roll-out, and remembers its beginnings.
func (d *daemon) startRollout(ctx context.Context) error {
	first, enforced := d.p.now(), d.p.now()
	var missing []store.State
	for key, at := range map[string]*time.Time{metaFirst: &first, metaEnforced: &enforced} {
		known := false
		err := d.st.LoadParser(ctx, metaInput, func(k, v []byte) error {
			if string(k) == key {
				known = true
				return at.UnmarshalText(v)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read when the installation began: %w", err)
		}
		if !known && (key == metaFirst || d.enforcing()) {
			text, err := at.MarshalText()
			if err != nil {
				return fmt.Errorf("note when the installation began: %w", err)
			}
			missing = append(missing, store.State{Input: metaInput, Key: []byte(key), Value: text})
		}
	}
	if d.cfg.Rollout == rolloutSteps && d.enforcing() {
		d.rollout = rules.Rollout{Since: enforced, Observe: max(0, first.Add(stepLength).Sub(enforced)), Short: stepLength,
			ShortBlock: shortBlock, First: firstRule}
	}
	return d.st.Commit(ctx, &store.Batch{Now: d.p.now(), Parser: missing})
}

// metaInput is the name under which the store keeps what is the daemon's own and no input's; no path is empty.
const (
	metaInput   = ""
	metaHashKey = "hash key"

	metaFirst    = "first start"    // when the daemon was first started with this database
	metaEnforced = "first enforced" // and when first in the mode enforce
)

// hashKey returns the secret key of the detector's hashes; false where none was made yet.
func hashKey(ctx context.Context, r *store.Reader) (key [16]byte, ok bool, err error) {
	err = r.LoadParser(ctx, metaInput, func(k, v []byte) error {
		if string(k) == metaHashKey && len(v) == len(key) {
			key, ok = [16]byte(v), true
		}
		return nil
	})
	return key, ok, err
}

func (d *daemon) restoreInputs(ctx context.Context) error {
	segments, err := d.st.LoadSegments(ctx)
	if err != nil {
		return err
	}
	for _, s := range segments {
		number := d.files.number(s.Path, "", decodeFile(s.File))
		d.files.refs.Set(s.Seg, pipeline.Segment{Input: number, Index: s.Start / pipeline.SegmentBytes})
		d.files.refs.Continue(s.Seg) // the newest comes last
	}
	cursors, err := d.st.LoadCursors(ctx)
	if err != nil {
		return err
	}
	for i, cfg := range d.cfg.Inputs {
		in := &liveInput{cfg: cfg, stream: i, format: cfg.Format}
		for _, c := range cursors {
			if c.Path == cfg.Path {
				in.cursor = decodeCursor(c.File)
			}
		}
		if in.format != "" {
			if err := d.openParser(ctx, in); err != nil {
				return err
			}
		}
		if !in.restoreQueue(d.left[cfg.Path]) {
			d.log.Error("events that were parsed and not observed yet can't be used, they are lost", "log", cfg.Path)
		}
		in.behind, in.heard = true, d.p.now()
		d.inputs = append(d.inputs, in)
	}
	d.left = nil
	return nil
}

// openParser opens the input's parser and gives it back what it remembered.
func (d *daemon) openParser(ctx context.Context, in *liveInput) error {
	o := d.parserOptions(in)
	p, err := parsers.Open(in.format, o)
	if err != nil {
		return usage("input %s: %w", in.cfg.Path, err)
	}
	if err := d.st.LoadParser(ctx, in.cfg.Path, p.Restore); err != nil {
		d.log.Error("what the parser remembered can't be used, it begins anew: messages under way are not followed", "log", in.cfg.Path, "error", err)
		if p, err = parsers.Open(in.format, o); err != nil {
			return fmt.Errorf("input %s: %w", in.cfg.Path, err)
		}
		if err := d.st.Commit(ctx, &store.Batch{Now: d.p.now(), Parser: []store.State{{Input: in.cfg.Path}}}); err != nil {
			return err
		}
	}
	in.parser = p
	return nil
}

// parserOptions returns what the input's parser must be told.
func (d *daemon) parserOptions(in *liveInput) parsers.Options {
	o := d.cfg.site
	o.Reference, o.Location, o.Fields = d.p.now(), d.cfg.zone, in.cfg.fields
	return o
}

// run works until ctx ends or the loop fails. What it leaves behind is the truth of the last commit.
func (d *daemon) run(ctx context.Context) error {
	l, err := control.Listen(d.cfg.Socket)
	if err != nil {
		return failed(errors.Join(err, d.close()))
	}
	ctx, stop := context.WithCancelCause(ctx)
	d.running = ctx
	var all sync.WaitGroup
	start := func(what string, f func(context.Context) error) {
		all.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	for _, in := range d.inputs {
		from := in.cursor
		start("follow "+in.cfg.Path, func(ctx context.Context) error { return d.follow(ctx, in, from) })
	}
	if d.rec != nil {
		start("firewall", d.rec.Run)
	}
	start("control", func(ctx context.Context) error { return control.Serve(ctx, l, d.answer) })
	start("housekeeping", d.housekeep)
	start("lists", d.watchLists)
	if d.asker != nil {
		start("suspects", func(ctx context.Context) error { d.asker.Run(ctx); return nil })
	}
	d.log.Info("harvestwatch is running", "version", version, "mode", d.cfg.Mode, "inputs", len(d.inputs), "state", d.cfg.State)
	if d.recipients != nil {
		start("recipients", d.refreshRecipients)
	}
	engine := pipeline.Engine{Ceiling: d.p.ceiling, Timeline: d.timeline, Missing: missing(d.validRecipient, d.recipients != nil)}
	if d.asker != nil {
		engine.Annotate = d.annotate
	}
	err = pipeline.Run(ctx, d.live, engine, pipeline.Lane{Detector: d.det, Judge: d.judge, Sink: newRecorder(d), Deny: d.denier.decide})
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	} else if ctx.Err() != nil {
		err = nil
	}
	stop(nil)
	close(d.live.ended)
	all.Wait()
	d.log.Info("harvestwatch ends; the blocks stay until they run out")
	return failed(errors.Join(err, d.close()))
}

func (d *daemon) close() error {
	var err error
	if d.enf != nil {
		err = d.enf.Close()
	}
	return errors.Join(err, d.st.Close(), d.lock.Close())
}

// do runs f in the loop's goroutine, between two batches, when all that was observed is committed. An error says that f
// was not run and won't be: ctx ended before its turn came, or the loop has ended (errEnded), as it does when that commit
// fails. Nobody waits longer than the loop works.
func (d *daemon) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case d.live.asks <- func() { defer close(done); f() }:
	case <-ctx.Done():
		return ctx.Err()
	case <-d.live.ended:
		return errEnded
	}
	select { // f may be at work whatever becomes of ctx, and uses what is its caller's
	case <-done:
		return nil
	case <-d.live.ended:
	}
	select {
	case <-done: // the last thing that the loop did
		return nil
	default:
		return errEnded
	}
}
