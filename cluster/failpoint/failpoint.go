// Package failpoint lets a test kill a node at a named point of the code. A program that was built without the tag
// failpoints has none of it: Hit is empty.
package failpoint
