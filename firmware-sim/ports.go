package firmwaresim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports are taken below the range that the kernel gives to outgoing connections (32768 and up), so that a node that was
// off for a while finds its own free.
const (
	firstPort = 17000
	lastPort  = 32000
)

// choosePorts finds n free loopback ports.
func choosePorts(n int) ([]int, error) {
	var ports []int
	for range 100 * n {
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := net.Listen("tcp", loopback(port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for free ports: %w", err)
		}
		defer listener.Close() // all at the end, so that none is found twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("looking for free ports: %d of %d found", len(ports), n)
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
