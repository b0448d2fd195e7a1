package server

import (
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// docs/protocol.md lists every request of operators, each with the right that it needs.
func TestProtocolListsEveryRight(t *testing.T) {
	text, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`\{\w+\}`)
	same := func(pattern string) string { return variable.ReplaceAllString(pattern, "{}") }
	rights := map[string]string{}
	for _, line := range (&Server{}).operatorTable() {
		rights[same(line.pattern)] = string(line.right)
	}
	_, section, found := strings.Cut(string(text), "\n## Operator listener\n")
	if !found {
		t.Fatal("there is no section of the operator listener")
	}
	listed := map[string]bool{}
	for line := range strings.SplitSeq(section, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(line, "| `") || strings.Contains(line, "no client certificate") {
			continue
		}
		listedRight := strings.TrimSpace(cells[2])
		for _, request := range requestsOf(same(cells[1]), rights) {
			switch right, found := rights[request]; {
			case !found:
				t.Errorf("%s is listed, and there is no such request", request)
			case right != listedRight:
				t.Errorf("%s needs the right %q, and is listed with %q", request, right, listedRight)
			case listed[request]:
				t.Errorf("%s is listed twice", request)
			}
			listed[request] = true
		}
	}
	for request := range rights {
		if !listed[request] {
			t.Errorf("%s is not listed", request)
		}
	}
}

// requestsOf reads the first cell of a line: `METHOD /path`, with what follows it: further
// paths of the method, whole or with another end, and before it further methods.
func requestsOf(cell string, known map[string]string) []string {
	var list, methods []string
	last := ""
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
		words := strings.Fields(m[1])
		if !strings.HasPrefix(words[0], "/") {
			if last != "" {
				methods, last = nil, ""
			}
			if methods = append(methods, words[0]); len(words) == 1 {
				continue
			}
		}
		place, _, _ := strings.Cut(words[len(words)-1], "?")
		for _, method := range methods {
			request := method + " " + place
			for _, base := range []string{"/api/v1", path.Dir(last)} {
				if _, found := known[request]; !found {
					request = method + " " + base + place
				}
			}
			list = append(list, request)
			last = strings.TrimPrefix(request, method+" ")
		}
	}
	return list
}
