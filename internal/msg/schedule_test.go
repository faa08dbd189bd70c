package msg

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The tables hold Next to dates that were worked out by hand, and the laws to a
// naive twin that tries every minute.

func at(t testing.TB, text string) Time {
	t.Helper()
	parsed, err := time.Parse("2006-01-02 15:04:05.999999999", text)
	if err != nil {
		t.Fatal(err)
	}
	return TimeOf(parsed)
}

func TestNextOfCron(t *testing.T) {
	for _, c := range []struct{ cron, after, want string }{
		{"* * * * *", "2026-01-01 00:00:00", "2026-01-01 00:01:00"},
		{"* * * * *", "2025-12-31 23:59:59.999999999", "2026-01-01 00:00:00"},
		{"30 4 * * *", "2026-01-01 04:29:59", "2026-01-01 04:30:00"},
		{"30 4 * * *", "2026-01-01 04:30:00", "2026-01-02 04:30:00"},
		{"*/15 * * * *", "2026-01-01 10:45:01", "2026-01-01 11:00:00"},
		{"5-59/20 * * * *", "2026-01-01 10:45:00", "2026-01-01 11:05:00"},
		{"0,10,5 9-17/4 * * *", "2026-01-01 09:05:30", "2026-01-01 09:10:00"},
		{"0,10,5 9-17/4 * * *", "2026-01-01 17:10:00", "2026-01-02 09:00:00"},
		{"0 0 1 * *", "2026-01-15 00:00:00", "2026-02-01 00:00:00"},
		{"0 0 31 * *", "2026-01-31 00:00:00", "2026-03-31 00:00:00"},
		{"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
		{"0 0 29 2 *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"}, // 2100 is no leap year
		{"0 12 * jan,JUL *", "2026-01-31 12:00:00", "2026-07-01 12:00:00"},
		{"0 12 * Nov-dec *", "2026-01-31 12:00:00", "2026-11-01 12:00:00"},
		{"0 9 * * MON-FRI", "2026-01-02 09:00:00", "2026-01-05 09:00:00"}, // from a Friday
		{"0 9 * * 0", "2026-01-02 09:00:00", "2026-01-04 09:00:00"},
		{"0 9 * * 7", "2026-01-02 09:00:00", "2026-01-04 09:00:00"},
		{"0 9 * * 0-0", "2026-01-04 09:00:00", "2026-01-11 09:00:00"},
		{"0 9 * * sat-sun", "2026-01-03 09:00:00", "2026-01-04 09:00:00"},
		{"0 0 13 * 5", "2026-02-01 00:00:00", "2026-02-06 00:00:00"},   // either: a Friday
		{"0 0 13 * 5", "2026-10-09 00:00:00", "2026-10-13 00:00:00"},   // either: a 13th
		{"0 0 */2 * 5", "2026-01-02 00:00:00", "2026-01-09 00:00:00"},  // both: * does not restrict
		{"0 0 29 2 */7", "2026-01-01 00:00:00", "2032-02-29 00:00:00"}, // both: 29 February on a Sunday
		{"59 23 31 12 *", "2026-12-31 23:59:00", "2027-12-31 23:59:00"},
		{"  0\t0 1 1 *  ", "1969-06-01 00:00:00", "1970-01-01 00:00:00"},
		{"0 0 1 5 *", "1960-06-01 00:00:00.5", "1961-05-01 00:00:00"},
		{"0 0 1 1 *", "2261-06-01 00:00:00", "2262-01-01 00:00:00"},
	} {
		s := Schedule{Cron: c.cron}
		if err := s.Validate(); err != nil {
			t.Errorf("%q: %v", c.cron, err)
		}
		if got, want := s.Next(at(t, c.after), math.MinInt64), at(t, c.want); got != want {
			t.Errorf("%q after %s: got %v, want %v", c.cron, c.after, got.Std(), want.Std())
		}
	}
}

func TestCronDoesNotFireBeforeDue(t *testing.T) {
	s := Schedule{Cron: "0 * * * *"}
	for _, c := range []struct{ after, due, want string }{
		{"2026-01-01 00:00:00", "2026-01-01 05:00:00", "2026-01-01 05:00:00"},
		{"2026-01-01 00:00:00", "2026-01-01 05:00:00.000000001", "2026-01-01 06:00:00"},
		{"2026-01-01 08:00:00", "2026-01-01 05:00:00", "2026-01-01 09:00:00"},
	} {
		if got, want := s.Next(at(t, c.after), at(t, c.due)), at(t, c.want); got != want {
			t.Errorf("after %s, due %s: got %v, want %v", c.after, c.due, got.Std(), want.Std())
		}
	}
}

func TestNextOfEvery(t *testing.T) {
	const hour = Time(time.Hour)
	for name, c := range map[string]struct {
		every            time.Duration
		after, due, want Time
	}{
		"the first is due itself":            {time.Hour, 5, hour, hour},
		"the next is a period later":         {time.Hour, hour, hour, 2 * hour},
		"late firing does not drift":         {time.Hour, hour + 17, hour, 2 * hour},
		"missed ones are left out":           {time.Hour, 100*hour + 17, hour, 101 * hour},
		"exactly on a missed one":            {time.Hour, 100 * hour, hour, 101 * hour},
		"due is far in the past":             {time.Hour, 10*hour + 1, 3 - 1000*hour, 10*hour + 3},
		"due and after are as far as can be": {time.Hour, math.MaxInt64 - 2*hour, math.MinInt64, 9223366363145224192},
		"after the end of time":              {time.Hour, math.MaxInt64 - 5, 0, 0},
		"the last of all":                    {time.Hour, math.MaxInt64 - hour, math.MaxInt64 - hour, math.MaxInt64},
		"the shortest period":                {EveryMin, 1, 0, Time(EveryMin)},
	} {
		s := Schedule{Every: c.every}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := s.Next(c.after, c.due); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestEveryHitsTheFirstMultipleAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := Time(rapid.Int64Range(int64(EveryMin), 1<<45).Draw(t, "every"))
		due := Time(rapid.Int64Range(-1<<60, 1<<60).Draw(t, "due"))
		after := Time(rapid.Int64Range(-1<<60, 1<<60).Draw(t, "after"))
		got := Schedule{Every: time.Duration(every)}.Next(after, due)
		if got <= after || got < due || (got-due)%every != 0 || got > due && got-every > after {
			t.Fatalf("got %d after %d, due %d, every %d", got, after, due, every)
		}
	})
}

func TestSchedulesThatNeverFire(t *testing.T) {
	for _, s := range []Schedule{
		{}, {Every: -time.Hour}, {Every: EveryMin - 1}, {Cron: "nonsense"}, {Cron: "0 0 30 2 *"}, {Cron: "0 0 31 4,6,9,11 *"},
		{Every: time.Hour, Cron: "* * * * *"},
	} {
		if got := s.Next(1_760_000_000_000_000_000, 0); got != 0 {
			t.Errorf("%+v: got %v, want never", s, got.Std())
		}
	}
	for _, after := range []string{"2262-04-11 23:47:00", "2262-04-11 23:47:16.854775807"} {
		if got := (Schedule{Cron: "* * * * *"}).Next(at(t, after), 0); got != 0 {
			t.Errorf("after %s: got %v, want never: Time ends then", after, got.Std())
		}
	}
}

func TestValidateOfScheduleSaysWhatToWrite(t *testing.T) {
	for _, c := range []struct {
		schedule Schedule
		want     string
	}{
		{Schedule{Every: time.Hour, Cron: "* * * * *"}, "set one of them"},
		{Schedule{Every: 999 * time.Microsecond}, "repeats every 999µs; the shortest period is 1ms"},
		{Schedule{Every: -time.Hour}, "the shortest period is 1ms"},
		{Schedule{Cron: " "}, "has 0 fields, want 5: minute, hour, day of the month, month, day of the week"},
		{Schedule{Cron: "@daily"}, "has 1 fields, want 5"},
		{Schedule{Cron: "0 0 * * * *"}, "has 6 fields, want 5"},
		{Schedule{Cron: "60 * * * *"}, `the minute "60" is not a number from 0 to 59`},
		{Schedule{Cron: "* 24 * * *"}, `the hour "24" is not a number from 0 to 23`},
		{Schedule{Cron: "* * 0 * *"}, `the day of the month "0" is not a number from 1 to 31`},
		{Schedule{Cron: "* * * 13 *"}, `the month "13" is not a number from 1 to 12 or a name of three letters`},
		{Schedule{Cron: "* * * ebm *"}, `the month "ebm" is not`},
		{Schedule{Cron: "* * * * 8"}, `the day of the week "8" is not a number from 0 to 7 or a name`},
		{Schedule{Cron: "* * * * monday"}, `"monday" is not`},
		{Schedule{Cron: "1,,2 * * * *"}, `the minute "" is not`},
		{Schedule{Cron: "+5 * * * *"}, `"+5" is not`},
		{Schedule{Cron: "005 * * * *"}, `"005" is not`},
		{Schedule{Cron: "1-2-3 * * * *"}, `"1-2-3" is not`},
		{Schedule{Cron: "1- * * * *"}, `"1-" is not`},
		{Schedule{Cron: "30-10 * * * *"}, `"30-10" is a range that ends before it begins; write two ranges`},
		{Schedule{Cron: "*/0 * * * *"}, `"*/0" has a step that is not a number from 1 to 59`},
		{Schedule{Cron: "*/x * * * *"}, `has a step that is not a number`},
		{Schedule{Cron: "5/15 * * * *"}, `"5/15" has a step without a range; write 5-59/15`},
		{Schedule{Cron: "0 0 L * *"}, `"L" is not`},
		{Schedule{Cron: "0 0 30 2 *"}, `"0 0 30 2 *" never fires: no such date exists`},
		{Schedule{Cron: strings.Repeat("1,", 300) + "1 * * * *"}, "the cron expression is 609 bytes long; it may have 512"},
	} {
		err := c.schedule.Validate()
		var typed *Error
		if !errors.As(err, &typed) || typed.Code != CodeInvalidArgument || !strings.Contains(typed.Message, c.want) {
			t.Errorf("%+v: got %v, want invalid_argument with …%s…", c.schedule, err, c.want)
		}
	}
	for _, s := range []Schedule{{}, {Every: EveryMin}, {Cron: "* * * * *"}, {Cron: "5-5/2 * * * *"}} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// TestCronAgreesWithTryingEveryMinute draws expressions as lists of numbers, so
// that the twin needs no parser.
func TestCronAgreesWithTryingEveryMinute(t *testing.T) {
	list := func(low, high int) *rapid.Generator[[]int] {
		return rapid.SliceOfN(rapid.IntRange(low, high), 0, 4)
	}
	rapid.Check(t, func(t *rapid.T) {
		minutes, hours := list(0, 59).Draw(t, "minutes"), list(0, 23).Draw(t, "hours")
		days, months := list(1, 31).Draw(t, "days"), list(1, 12).Draw(t, "months")
		weekdays := list(0, 7).Draw(t, "weekdays")
		cron := strings.Join([]string{cronList(minutes), cronList(hours), cronList(days), cronList(months), cronList(weekdays)}, " ")
		after := Time(rapid.Int64Range(0, 60_000_000).Draw(t, "minute") * int64(time.Minute))

		matches := func(try time.Time) bool {
			day, weekday := among(days, try.Day()), among(weekdays, int(try.Weekday()))
			if try.Weekday() == time.Sunday {
				weekday = weekday || among(weekdays, 7)
			}
			dayOK := day && weekday || len(days) > 0 && len(weekdays) > 0 && (day || weekday)
			return dayOK && among(months, int(try.Month())) && among(hours, try.Hour()) && among(minutes, try.Minute())
		}
		got := Schedule{Cron: cron}.Next(after, 0)
		if got != 0 && (got <= after || !matches(got.Std())) {
			t.Fatalf("%q after %v: got %v, which does not match", cron, after.Std(), got.Std())
		}
		end := after.Std().AddDate(0, 0, 40) // trying more takes too long
		for try := after.Std().Add(time.Minute); try.Before(end) && TimeOf(try) != got; try = try.Add(time.Minute) {
			if matches(try) {
				t.Fatalf("%q after %v: got %v, want %v", cron, after.Std(), got.Std(), try)
			}
		}
	})
}

func cronList(numbers []int) string {
	if len(numbers) == 0 {
		return "*"
	}
	var parts []string
	for _, n := range numbers {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ",")
}

// among says whether a list matches; the empty list is *.
func among(list []int, n int) bool {
	return len(list) == 0 || slices.Contains(list, n)
}

// TestLastIsTheLatestThatNextGives: the model goes through all firings.
func TestLastIsTheLatestThatNextGives(t *testing.T) {
	for _, s := range []Schedule{
		{Cron: "* * * * *"}, {Cron: "*/7 3-5 * * *"}, {Cron: "0 3 * * *"}, {Cron: "30 4 * * MON"}, {Cron: "* 0 1 1 *"},
		{Every: time.Millisecond * 700_001}, {Every: time.Hour}, {Every: 36 * time.Hour},
	} {
		due := TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if s.Cron != "" {
			due = s.Next(due, 0)
		}
		for _, later := range []time.Duration{0, 1, time.Second, time.Minute, 61 * time.Minute, 25 * time.Hour, 9*24*time.Hour + 1, 400 * 24 * time.Hour} {
			now, want := due+Time(later), due
			for next := s.Next(want, due); next > 0 && next <= now; next = s.Next(want, due) {
				want = next
			}
			if got := s.Last(now, due); got != want {
				t.Errorf("%+v, %v after %v: got %v, want %v", s, later, due.Std(), got.Std(), want.Std())
			}
		}
	}
	if got := (Schedule{}).Last(7, 3); got != 3 {
		t.Errorf("what does not repeat: got %d, want 3", got)
	}
}

func FuzzScheduleNext(f *testing.F) {
	f.Add("*/15 9-17 1,15 jan-mar MON-FRI", int64(0), int64(1_760_000_000_000_000_000))
	f.Add("0 0 29 2 *", int64(time.Hour), int64(-1))
	f.Fuzz(func(t *testing.T, cron string, every, after int64) {
		for _, s := range []Schedule{{Cron: cron}, {Every: time.Duration(every)}, {Cron: cron, Every: time.Duration(every)}} {
			next := s.Next(Time(after), 0)
			if next != 0 && (next <= Time(after) || s.Validate() != nil) {
				t.Errorf("%+v after %d: got %d, Validate says %v", s, after, next, s.Validate())
			}
		}
	})
}

func BenchmarkScheduleNext(b *testing.B) {
	for name, s := range map[string]Schedule{
		"every": {Every: time.Minute}, "five-minutes": {Cron: "*/5 * * * *"}, "workdays": {Cron: "0 3 * * MON-FRI"}, "leap-day": {Cron: "0 0 29 2 *"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Next(1_760_000_000_000_000_000, 1_700_000_000_000_000_000)
			}
		})
	}
}
