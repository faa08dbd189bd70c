package msg

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// EveryMin is the shortest period of a schedule. Each firing is a record; one
// millisecond is ten times the sync of a fast disk.
const EveryMin = time.Millisecond

// CronBytesMax bounds a cron expression. One that lists every minute takes 169
// bytes.
const CronBytesMax = 512

// IsZero reports whether nothing repeats.
func (s Schedule) IsZero() bool { return s == Schedule{} }

// Validate returns nil if the schedule is zero or can repeat, and else an
// *Error with CodeInvalidArgument that says how to write it.
//
// Cron has five fields, separated by spaces: minute (0-59), hour (0-23), day
// of the month (1-31), month (1-12 or JAN-DEC) and day of the week (0-7 or
// SUN-SAT; 0 and 7 are Sunday), in UTC. A field is *, a number, a range 1-5, or
// a list of those separated by commas; * and ranges may have a step, as in
// */15. If both day fields are restricted, that is, neither begins with *, a
// day that matches one of them is enough.
func (s Schedule) Validate() error {
	switch {
	case s.IsZero():
		return nil
	case s.Every != 0 && s.Cron != "":
		return invalid("the schedule has both Every %v and Cron %q; set one of them", s.Every, s.Cron)
	case s.Cron == "" && s.Every < EveryMin:
		return invalid("the schedule repeats every %v; the shortest period is %v", s.Every, EveryMin)
	case s.Cron == "":
		return nil
	}
	c, err := parseCron(s.Cron)
	if err != nil {
		return err
	}
	if c.next(1) == 0 { // not from 0, which would be "none" as an answer
		return invalid("cron %q never fires: no such date exists", s.Cron)
	}
	return nil
}

// Next is the first firing after a time, or 0 if there is none. With Every it
// is the first of due, due + Every, due + 2·Every …: times that were missed are
// left out, and the period does not drift. With Cron it is the first minute
// that matches, and not before due. A schedule that Validate refuses never
// fires.
func (s Schedule) Next(after, due Time) Time {
	switch {
	case s.Cron == "" && s.Every >= EveryMin:
		return nextEvery(after, due, Time(s.Every))
	case s.Cron == "" || s.Every != 0 || after == math.MaxInt64:
		return 0
	}
	c, err := parseCron(s.Cron)
	if err != nil {
		return 0
	}
	return c.next(max(after+1, due))
}

// Last is the latest firing at or before a time, of those from due on; due
// itself has come. It is due if the schedule does not repeat.
func (s Schedule) Last(now, due Time) Time {
	if s.Cron == "" && s.Every >= EveryMin && now > due {
		return now - Time(uint64(now-due)%uint64(s.Every))
	}
	c, err := parseCron(s.Cron)
	if err != nil {
		return due
	}
	// Look back twice as far each time: what is looked through in vain is half of
	// that, however long nothing has fired.
	for span := Time(time.Minute); now-due > span/2; span *= 2 {
		last := Time(0)
		for t := c.next(max(now-span, due)); t > 0 && t <= now; t = c.next(t + 1) {
			last = t
		}
		if last > 0 {
			return last
		}
	}
	return due
}

func nextEvery(after, due, every Time) Time {
	if due > after {
		return due
	}
	gap := uint64(after) - uint64(due) // fits, whatever the signs are
	last := after - Time(gap%uint64(every))
	if last > math.MaxInt64-every {
		return 0
	}
	return last + every
}

// cron is a parsed expression: a bit for each number that matches.
type cron struct {
	minute, hour, day, month, weekday uint64

	eitherDay bool // both day fields are restricted: one is enough
}

// cronField says what may stand in one field of an expression.
type cronField struct {
	name     string
	min, max int
	names    string // of three letters each, from min on
}

var cronFields = [...]cronField{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of the month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: "janfebmaraprmayjunjulaugsepoctnovdec"},
	{name: "day of the week", max: 7, names: "sunmontuewedthufrisat"},
}

func parseCron(expression string) (c cron, err error) {
	if len(expression) > CronBytesMax {
		return c, invalid("the cron expression is %d bytes long; it may have %d", len(expression), CronBytesMax)
	}
	fields := strings.Fields(expression)
	if len(fields) != len(cronFields) {
		return c, invalid("cron %q has %d fields, want 5: minute, hour, day of the month, month, day of the week",
			expression, len(fields))
	}
	for i, set := range [...]*uint64{&c.minute, &c.hour, &c.day, &c.month, &c.weekday} {
		if *set, err = cronFields[i].parse(expression, fields[i]); err != nil {
			return cron{}, err
		}
	}
	c.weekday |= c.weekday >> 7 // 7 is Sunday, as 0
	c.eitherDay = fields[2][0] != '*' && fields[4][0] != '*'
	return c, nil
}

// parse gives the numbers that a field matches.
func (f *cronField) parse(expression, text string) (set uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		numbers, problem := f.parsePart(part)
		if problem != "" {
			return 0, invalid("cron %q: the %s %q %s", expression, f.name, part, problem)
		}
		set |= numbers
	}
	return set, nil
}

// parsePart gives the numbers that one part of a list matches, or what is
// wrong with it.
func (f *cronField) parsePart(part string) (set uint64, problem string) {
	span, stepText, hasStep := strings.Cut(part, "/")
	low, high, problem := f.parseSpan(span)
	if problem != "" {
		return 0, problem
	}
	step := 1
	if hasStep {
		var ok bool
		step, ok = decimal(stepText)
		switch {
		case !ok || step < 1 || step > f.max:
			return 0, "has a step that is not a number from 1 to " + strconv.Itoa(f.max)
		case !strings.ContainsAny(span, "*-"):
			return 0, "has a step without a range; write " + span + "-" + strconv.Itoa(f.max) + "/" + stepText
		}
	}
	for n := low; n <= high; n += step {
		set |= 1 << n
	}
	return set, ""
}

// parseSpan gives the ends of *, of a number or of a range.
func (f *cronField) parseSpan(span string) (low, high int, problem string) {
	if span == "*" {
		return f.min, f.max, ""
	}
	first, last, isRange := strings.Cut(span, "-")
	low, ok := f.number(first)
	high = low
	if ok && isRange {
		high, ok = f.number(last)
		if high == 0 && low > 0 && f.max == 7 {
			high = 7 // SAT-SUN
		}
	}
	switch {
	case !ok && f.names != "":
		return 0, 0, "is not a number from " + strconv.Itoa(f.min) + " to " + strconv.Itoa(f.max) + " or a name of three letters"
	case !ok:
		return 0, 0, "is not a number from " + strconv.Itoa(f.min) + " to " + strconv.Itoa(f.max)
	case high < low:
		return 0, 0, "is a range that ends before it begins; write two ranges, with a comma between them"
	}
	return low, high, ""
}

// number reads a number or a name.
func (f *cronField) number(text string) (int, bool) {
	if at := strings.Index(f.names, strings.ToLower(text)); len(text) == 3 && at >= 0 && at%3 == 0 {
		return f.min + at/3, true
	}
	n, ok := decimal(text)
	return n, ok && n >= f.min && n <= f.max
}

// decimal reads one or two digits.
func decimal(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err == nil && len(text) <= 2
}

// next is the first minute at or after a time that matches, or 0 if there is
// none that Time can express.
func (c *cron) next(from Time) Time {
	end := Time(math.MaxInt64).Std()
	t := from.Std().Truncate(time.Minute)
	if t.Before(from.Std()) {
		t = t.Add(time.Minute)
	}
	for !t.After(end) {
		year, month, day := t.Date()
		hour, hourOK := nextBit(c.hour, t.Hour())
		minute, minuteOK := nextBit(c.minute, t.Minute())
		switch {
		case c.month>>month&1 == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !c.matchesDay(t) || !hourOK:
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case hour != t.Hour():
			t = time.Date(year, month, day, hour, 0, 0, 0, time.UTC)
		case !minuteOK:
			t = time.Date(year, month, day, hour+1, 0, 0, 0, time.UTC)
		case minute != t.Minute():
			t = time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
		default:
			return TimeOf(t)
		}
	}
	return 0
}

func (c *cron) matchesDay(t time.Time) bool {
	day := c.day>>t.Day()&1 == 1
	weekday := c.weekday>>t.Weekday()&1 == 1
	if c.eitherDay {
		return day || weekday
	}
	return day && weekday
}

// nextBit is the first bit of the set at or above from.
func nextBit(set uint64, from int) (int, bool) {
	rest := set >> from
	return from + bits.TrailingZeros64(rest), rest != 0
}
