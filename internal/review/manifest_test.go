package review

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"webjob.dev/webjob"
)

// Each member of a manifest and of an order is said: what changes in it changes lines.
func TestEveryMemberIsSaid(t *testing.T) {
	s := store{}
	full := s.version(1, []byte("x"))
	full.Collect = &webjob.Collect{Files: []string{"a"}, Exclude: []string{"b"}, MaxFiles: 1, MinBytes: 2, MaxBytes: 3}
	full.Interpreter, full.Arguments, full.Description = []string{"sh"}, []string{"a+"}, "about"
	full.Limits = webjob.Limits{RunMS: 1, StdoutBytes: 2, StderrBytes: 3, OnOverflow: webjob.OverflowStop, MemoryBytes: 4, Processes: 5, CPUSeconds: 6, Nice: 7, CollectBytes: 8}
	full.Payloads[0].Signature, full.Payloads[0].Bundle = []byte("s"), &webjob.Bundle{Run: "r", Bytes: 1}
	everyLeaf(t, full, map[string]bool{"Format": true, "Name": true, "Version": true}, func() string { return fmt.Sprint(terms(full)) })

	o := &webjob.Order{
		Arguments: []string{"a"}, On: "all", NotBefore: full.Created, Expires: full.Expires, Created: full.Created, Serial: true, Group: "g", Tag: "t",
		Priority: 1, Canary: 1, Rate: 1, StopAt: 1, Schedule: &webjob.Schedule{At: "@every 1m", Zone: "UTC", JitterMS: 1, Missed: webjob.MissedSkip},
	}
	everyLeaf(t, o, map[string]bool{"Format": true, "ID": true, "Job": true, "Version": true, "Manifest": true}, func() string {
		p := NewPage(false)
		p.Order(o)
		return fmt.Sprint(p.Lines)
	})
}

// everyLeaf changes one value after the other and fails when what is said stays the same.
func everyLeaf(t *testing.T, of any, saidElsewhere map[string]bool, said func() string) {
	t.Helper()
	var visit func(path string, v reflect.Value)
	visit = func(path string, v reflect.Value) {
		before := said()
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch value := v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(value.Add(time.Minute)))
		case webjob.Leftovers:
			v.SetString(string(webjob.LeftoversLeave))
		case webjob.Overflow:
			v.SetString(string(webjob.OverflowContinue))
		case webjob.Missed:
			v.SetString(string(webjob.MissedRun))
		case webjob.Scope:
			v.SetString("client:web1")
		default:
			switch v.Kind() {
			case reflect.Pointer:
				visit(path, v.Elem())
				return
			case reflect.Struct:
				for i := range v.NumField() {
					if name := v.Type().Field(i).Name; !saidElsewhere[name] {
						visit(path+"."+name, v.Field(i))
					}
				}
				return
			case reflect.Slice:
				visit(path+"[0]", v.Index(0))
				return
			case reflect.String:
				v.SetString(v.String() + "x")
			case reflect.Int64:
				v.SetInt(v.Int() + 1)
			case reflect.Uint8:
				v.SetUint(v.Uint() + 1)
			case reflect.Bool:
				v.SetBool(!v.Bool())
			default:
				t.Fatalf("%s: no way to change a %s", path, v.Type())
			}
		}
		if said() == before {
			t.Errorf("%s is not said", path)
		}
		v.Set(old)
	}
	visit("", reflect.ValueOf(of).Elem())
}
