package sqlite

import "sync"

// maxLookups bounds the answers that are remembered; past it all are forgotten.
const maxLookups = 100_000

// lookups remembers the answers to the questions that every request asks (who is
// this client, which version does it get), until something that they depend on
// changes. Every change of the file goes through this store's writer, so none is
// missed; a store that several processes share must not do this.
type lookups struct {
	mu         sync.RWMutex
	generation int
	answers    map[string]any
}

// forget drops every answer. The writer calls it after the commit and before the
// caller learns of it, so nobody who was told of a change can get an older answer.
func (l *lookups) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	clear(l.answers)
}

// lookUp returns the remembered answer to the question, or loads it. Answers are
// shared and must not be changed. Errors are not remembered.
func lookUp[T any](l *lookups, question string, load func() (T, error)) (T, error) {
	l.mu.RLock()
	answer, found := l.answers[question]
	generation := l.generation
	l.mu.RUnlock()
	if found {
		return answer.(T), nil
	}
	loaded, err := load()
	if err != nil {
		return loaded, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == generation { // else the answer may be older than a change
		if len(l.answers) >= maxLookups {
			clear(l.answers)
		}
		l.answers[question] = loaded
	}
	return loaded, nil
}
