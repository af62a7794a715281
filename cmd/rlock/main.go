// Command rlock shows what package rlock does, from the command line.
//
//	go run github.com/go-rlock/rlock/cmd/rlock demo
//
// See "rlock --help" and "rlock demo --help".
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
