package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// chart draws what p3 measured as a picture: bench chart OUT.svg.
func chart(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: bench chart OUT.svg")
	}
	text, err := os.ReadFile(filepath.Join("bench", "out", "p3.json"))
	if err != nil {
		return err
	}
	var figures []figure
	if err := json.Unmarshal(text, &figures); err != nil {
		return err
	}
	var memory, cpu []point
	for _, f := range figures {
		var agents float64
		var what string
		if _, err := fmt.Sscanf(strings.ReplaceAll(f.Name, "-", " "), "P3 %f agents %s", &agents, &what); err != nil {
			return err
		}
		switch what {
		case "memory":
			memory = append(memory, point{agents, agents * f.Value / 1000})
		case "cpu":
			cpu = append(cpu, point{agents, f.Value})
		}
	}
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 380" font-family="sans-serif" font-size="13">` + "\n")
	b.WriteString(`<rect width="900" height="380" fill="white"/>` + "\n")
	panel(&b, 60, "Memory of the server, MB", memory, 0.04)
	panel(&b, 510, "CPU time of the server, % of a core", cpu, 20.0/50_000)
	b.WriteString("</svg>\n")
	return os.WriteFile(args[0], []byte(b.String()), 0o600)
}

type point struct{ agents, value float64 }

// panel draws one curve, with the target as a broken line: so much an agent.
func panel(b *strings.Builder, left float64, title string, points []point, target float64) {
	const width, height, top = 340.0, 270.0, 50.0
	most := points[len(points)-1].agents
	high := most * target * 1.1
	for _, p := range points {
		high = max(high, p.value*1.1)
	}
	x := func(agents float64) float64 { return left + width*agents/most }
	y := func(value float64) float64 { return top + height*(1-value/high) }
	fmt.Fprintf(b, `<text x="%.0f" y="28" font-size="15">%s</text>`+"\n", left, title)
	fmt.Fprintf(b, `<path d="M%.1f %.1f V%.1f H%.1f" fill="none" stroke="#444"/>`+"\n", left, top, top+height, left+width)
	fmt.Fprintf(b, `<path d="M%.1f %.1f L%.1f %.1f" stroke="#b33" stroke-dasharray="6 4"/>`+"\n", x(0), y(0), x(most), y(most*target))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="#b33" text-anchor="end">target</text>`+"\n", x(most), y(most*target)-6)
	line := []string{}
	for _, p := range points {
		line = append(line, fmt.Sprintf("%.1f,%.1f", x(p.agents), y(p.value)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="#247"/>`+"\n", x(p.agents), y(p.value))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%.0f</text>`+"\n", x(p.agents), top+height+18, p.agents)
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="#247" text-anchor="end">%.3g</text>`+"\n", x(p.agents)-6, y(p.value)-8, p.value)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="#247" stroke-width="2"/>`+"\n", strings.Join(line, " "))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">idle agents</text>`+"\n", left+width/2, top+height+40)
}
