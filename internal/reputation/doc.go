// Package reputation asks the DNS what it knows of a suspect: which name the address verifiably has, and which block
// lists have it. It judges nothing and blocks nothing; what an answer is worth is the rules' matter. A suspect is asked
// about in the background, and whoever wants to know takes what has come in so far: nobody waits for the DNS.
//
// Everything that comes out of the DNS was written by strangers. Names are checked to the letter, answers of block lists
// must lie in 127.0.0.0/8, a list is believed after it passed the test of RFC 5782 section 5 only, and everything is
// bounded: queries under way, answers kept, records of an answer, time for a suspect.
//
// A Client starts no goroutine: it works in those of its callers. The goroutines of an Asker belong to its Run, which
// returns when all of them have ended.
package reputation
