// Package failpoint lets a test kill a node at a named point of the code. A program that was built without the tag
// failpoints has none of it: Hit is empty.
//
// The points are where a crash leaves something half done about the key-usage log, in their order:
//
//	log-intended    the leader's intent to sign is committed
//	log-intent      a node has seen the intent, and noted nothing of it
//	log-remembered  it has noted durably what it is about to sign, and signed nothing
//	log-signed      it has signed, and told nobody
//	log-voted       its signature is committed; if that made a majority, so is the checkpoint
//	log-tile        a bundle's entries are in the state, its files are not begun
//	log-published   its files are durable, its entries are still in the state
//	log-dropped     its entries have left the state
package failpoint
