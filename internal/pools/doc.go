// Package pools knows the networks that the large mail providers send from: a block there would hit everybody's mail, not
// one sender's. It holds a dated list that comes with the program, reads and writes such lists, and brings one up to date
// from the providers' own SPF records (RFC 7208).
//
// It does not say what being in a pool is worth, asks the DNS only through the Resolver it is given, writes no file and
// starts no goroutine.
package pools
