// Package karcli is the command line of KAR: what "holdfast kar" and a binary
// that is called kar understand, with KAR's flags, output and exit codes.
//
// Flags are read by package flag, with one dash or two. Those about Kafka and
// Redis are taken and not used, with one line that says so. Deliberate
// differences: invoke and rest exit with 1 on an error.
package karcli
