package main

import (
	"fmt"
	"math/big"
	"sync/atomic"
)

// faults decides which requests fail: of every `of` requests in a row exactly `failing` do, spread evenly
// and starting anywhere, so that a test can assert the ratio and not merely come near it.
type faults struct {
	failing, of uint64
	requests    atomic.Uint64
}

func newFaults(ratio string) (*faults, error) {
	// A float64 would make 0.1 a neighbour of one tenth, and the count drift.
	exact, ok := new(big.Rat).SetString(ratio)
	if !ok || exact.Sign() < 0 || exact.Cmp(big.NewRat(1, 1)) > 0 {
		return nil, fmt.Errorf("%q is not a share from 0 to 1", ratio)
	}
	if !exact.Denom().IsUint64() || exact.Denom().Uint64() > 1_000_000 {
		return nil, fmt.Errorf("%q is finer than one in a million", ratio)
	}
	return &faults{failing: exact.Num().Uint64(), of: exact.Denom().Uint64()}, nil
}

func (f *faults) next() bool {
	position := (f.requests.Add(1) - 1) % f.of
	return position*f.failing%f.of+f.failing >= f.of
}
