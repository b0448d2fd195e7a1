// Primes counts the primes below a number: a compiled job with arguments.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	below := flag.Int("below", 100, "count the primes below this number, 2 to 99999999")
	flag.Parse()
	if *below < 2 || *below > 99_999_999 {
		fmt.Fprintf(os.Stderr, "primes: --below %d is out of range; use 2 to 99999999\n", *below)
		os.Exit(2)
	}
	composite := make([]bool, *below)
	count, largest := 0, 0
	for n := 2; n < *below; n++ {
		if composite[n] {
			continue
		}
		count, largest = count+1, n
		for multiple := 2 * n; multiple < *below; multiple += n {
			composite[multiple] = true
		}
	}
	fmt.Printf("there are %d primes below %d; the largest is %d\n", count, *below, largest)
	fmt.Printf("run %s of %s on %s\n", os.Getenv("WEBJOB_RUN_ID"), os.Getenv("WEBJOB_JOB"), os.Getenv("WEBJOB_CLIENT_ID"))
}
