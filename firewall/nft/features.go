package nft

import "errors"

// Features says what the kernel was found to be capable of, by trying.
type Features struct {
	Owned   bool // the table has an owner and outlives it (Linux 6.9 and later; never when Options.Unprotected)
	Update  bool // adding an element that exists moves its end (6.12 and later); otherwise it is deleted and added
	Destroy bool // deleting an element that is absent is no error (6.3 and later); otherwise it is added first
}

// ErrClosed means that the enforcer was closed.
var ErrClosed = errors.New("the nftables enforcer is closed")
