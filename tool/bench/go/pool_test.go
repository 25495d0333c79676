// SPDX-License-Identifier: MIT

// Go's side of `poolwise bench`: the loops by which its own sync.Pool is measured, and the same three
// workloads as worker/article_*.c, each in the variants that Go has.
package pool_test

import (
	"bytes"
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func BenchmarkPair(b *testing.B) {
	p := sync.Pool{New: func() any { return new([64]byte) }}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			x := p.Get().(*[64]byte)
			x[0] = 1
			p.Put(x)
		}
	})
}

func BenchmarkPool(b *testing.B) {
	var p sync.Pool
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p.Put(1)
			p.Get()
		}
	})
}

func runs(b *testing.B, puts, gets int) {
	var p sync.Pool
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for i := 0; i < puts; i++ {
				p.Put(1)
			}
			for i := 0; i < gets; i++ {
				p.Get()
			}
		}
	})
}

func BenchmarkPoolOverflow(b *testing.B)   { runs(b, 100, 100) }
func BenchmarkPoolStarvation(b *testing.B) { runs(b, 67, 100) }

// The pause of the collection that empties a pool of 100,000 items.
func BenchmarkPoolSTW(b *testing.B) {
	var p sync.Pool
	var stats runtime.MemStats
	var pauses []uint64
	var sum uint64
	for i := 0; i < b.N; i++ {
		var item any = 42
		for j := 0; j < 100000; j++ {
			p.Put(item)
		}
		runtime.GC()
		runtime.ReadMemStats(&stats)
		pause := stats.PauseNs[(stats.NumGC+255)%256]
		pauses = append(pauses, pause)
		sum += pause
	}
	sort.Slice(pauses, func(i, j int) bool { return pauses[i] < pauses[j] })
	b.ReportMetric(float64(sum)/float64(b.N), "ns/op")
	b.ReportMetric(float64(pauses[len(pauses)/2]), "p50-ns/STW")
	b.ReportMetric(float64(pauses[len(pauses)*95/100]), "p95-ns/STW")
}

var garbage []byte

func BenchmarkPoolExpensiveNew(b *testing.B) {
	ballast := make([]byte, 8<<20)
	var made uint64
	p := sync.Pool{New: func() any {
		atomic.AddUint64(&made, 1)
		time.Sleep(time.Millisecond)
		return 42
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		items := make([]any, 100)
		for pb.Next() {
			for i := range items {
				items[i] = p.Get()
				garbage = make([]byte, 32<<10)
			}
			for i := range items {
				p.Put(items[i])
				items[i] = nil
			}
		}
	})
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.NumGC-before.NumGC)/float64(b.N), "drains/op")
	b.ReportMetric(float64(made)/float64(b.N), "creates/op")
	runtime.KeepAlive(ballast)
}

var answer [8192]byte

func lines(w *bytes.Buffer) {
	for i := 0; i < 200; i++ {
		fmt.Fprintf(w, "row=%d val=%d\n", i, i*7)
	}
	copy(answer[:], w.Bytes())
}

func BenchmarkRender(b *testing.B) {
	b.Run("variant=go-fresh", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			var w bytes.Buffer
			lines(&w)
		}
	})
	b.Run("variant=go-presized", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			w := bytes.NewBuffer(make([]byte, 0, 4096))
			lines(w)
		}
	})
	b.Run("variant=go-pooled", func(b *testing.B) {
		p := sync.Pool{New: func() any { return new(bytes.Buffer) }}
		for i := 0; i < b.N; i++ {
			w := p.Get().(*bytes.Buffer)
			w.Reset()
			lines(w)
			p.Put(w)
		}
	})
}

type event struct {
	id     int64
	kind   uint8
	source uint16
}

var checksum int64
var escaped *event

//go:noinline
func count(e *event) { checksum += e.id*31 + int64(e.source) + int64(e.kind) }

func fill(e *event, id int) {
	e.id, e.kind, e.source = int64(id), uint8(id%5), uint16(id/3%1021)
}

func BenchmarkEvent(b *testing.B) {
	b.Run("variant=go-heap", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			e := new(event)
			escaped = e
			fill(e, i)
			count(e)
		}
	})
	b.Run("variant=go-pool", func(b *testing.B) {
		p := sync.Pool{New: func() any { return new(event) }}
		for i := 0; i < b.N; i++ {
			e := p.Get().(*event)
			fill(e, i)
			count(e)
			p.Put(e)
		}
	})
	b.Run("variant=go-stack", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			var e event
			fill(&e, i)
			count(&e)
		}
	})
}
